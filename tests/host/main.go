// Command host is a stand-in for the package manager luet, for the tests of luet-cosign.
//
// No package client installs luet, so this program does what luet does wherever a plugin can see it, with the libraries
// that luet links, at the versions that luet links: go-pluggable for events, go-containerregistry for pulling and
// flattening images, containerd for unpacking them. It installs, upgrades and removes packages of docker repositories,
// unpacks single images and publishes repositories; it fires the same events with the same payloads in the same order,
// prints the same lines and leaves with the same exit codes. Repositories are in luet's format: each of the two programs
// installs what the other one published.
//
// What it leaves out: building packages, finalizers, http and disk repositories, the SAT solver (here a package comes
// from the first repository that has it, its requirements likewise), and the lock that allows one luet at a time.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// host is one run of the program: what the flags and the configuration say, and what all commands use.
type host struct {
	log    *logger
	bus    *bus
	config config

	yes, relax, downloadOnly bool
	input                    *bufio.Reader
	mutex                    sync.Mutex
	made                     []string // temporary files and folders, removed at the end
}

func main() {
	h := &host{log: &logger{out: os.Stdout}, input: bufio.NewReader(os.Stdin)}
	if err := h.command().Execute(); err != nil {
		fmt.Println(err)
		os.Exit(255)
	}
}

func (h *host) command() *cobra.Command {
	var flags globalFlags
	root := &cobra.Command{
		Use:           "luet-host",
		Short:         "Stand-in for luet: fires the same events to the same plugins",
		Version:       version(),
		SilenceErrors: true,
		PersistentPreRun: func(cmd *cobra.Command, _ []string) {
			var err error
			if h.config, err = loadConfig(cmd.Flags(), flags); err != nil {
				fmt.Println("failed to load configuration:", err)
				os.Exit(1)
			}
			h.log.emoji = h.config.Logging.EnableEmoji
			h.bus = newBus(h.log, h.config.Plugins)
		},
		PersistentPostRun: func(*cobra.Command, []string) {
			for _, path := range h.made {
				os.RemoveAll(path)
			}
			os.Remove(h.config.System.TmpDirBase) // luet removes it with what other runs have in it
		},
	}
	flags.register(root.PersistentFlags())

	util := &cobra.Command{Use: "util", Short: "General luet internal utilities exposed"}
	util.AddCommand(h.unpackCommand())
	repo := &cobra.Command{Use: "repo", Short: "Manage repositories"}
	repo.AddCommand(h.repoUpdateCommand())
	root.AddCommand(util, repo, h.installCommand(), h.upgradeCommand(), h.uninstallCommand(), h.createRepoCommand(), packCommand(h))
	return root
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, module := range info.Deps {
		if module.Path == "github.com/mudler/go-pluggable" {
			return "with go-pluggable " + module.Version
		}
	}
	return info.Main.Version
}

// tempDir makes a folder as luet does: below $TMPDIR/tmpluet, mode 0700.
func (h *host) tempDir(prefix string) (string, error) {
	if err := os.MkdirAll(h.config.System.TmpDirBase, os.ModePerm); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(h.config.System.TmpDirBase, prefix)
	h.remember(dir)
	return dir, err
}

func (h *host) tempFile(prefix string) (string, error) {
	if err := os.MkdirAll(h.config.System.TmpDirBase, os.ModePerm); err != nil {
		return "", err
	}
	file, err := os.CreateTemp(h.config.System.TmpDirBase, prefix)
	if err != nil {
		return "", err
	}
	h.remember(file.Name())
	return file.Name(), file.Close()
}

func (h *host) remember(path string) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.made = append(h.made, path)
}

var errAborted = errors.New("Aborted by user")

// ask returns nil when the user agrees, or agreed beforehand.
func (h *host) ask() error {
	if h.yes {
		return nil
	}
	h.log.info("By going forward, you are also accepting the licenses of the packages that you are going to install in your system.")
	h.log.info("Do you want to continue with this operation? [y/N]: ")
	answer, _ := h.input.ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		h.yes = true // asked once
		return nil
	}
	return errAborted
}

func copyFile(source, destination string) error {
	in, err := os.Open(source)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(destination)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

// globalFlags are accepted anywhere on the command line. luet's names for root and cache are accepted as well.
type globalFlags struct {
	config, root, cache string
	repos, auth         []string
	cached              bool
}

func (f *globalFlags) register(flags *pflag.FlagSet) {
	flags.StringSlice("plugin", nil, "a list of plugins to load")
	flags.StringVar(&f.config, "config", "", "configuration file in luet's format")
	flags.StringVar(&f.root, "root", "", "folder to install into")
	flags.StringVar(&f.cache, "cache", "", "database and caches (default ROOT/var/cache/luet)")
	flags.StringSliceVar(&f.repos, "repo", nil, "NAME=REGISTRY/PATH, by priority; the same name again is a mirror")
	flags.StringArrayVar(&f.auth, "auth", nil, "USER:PASSWORD for all repositories of --repo, or NAME=USER:PASSWORD for one")
	flags.BoolVar(&f.cached, "cached", false, "keep the metadata of the repositories of --repo for 24 hours")
	flags.Int("concurrency", runtime.NumCPU(), "how many packages are downloaded at the same time")
	flags.Bool("emoji", true, "show emoji in the output")
	flags.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		switch name {
		case "system-target":
			name = "root"
		case "system-dbpath":
			name = "cache"
		}
		return pflag.NormalizedName(name)
	})
}

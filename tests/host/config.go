package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"strings"

	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"
)

// config is the part of luet.yaml that matters here.
type config struct {
	Plugins []string `json:"plugin"`
	Logging struct {
		EnableEmoji bool `json:"enable_emoji"`
	} `json:"logging"`
	General struct {
		Concurrency int `json:"concurrency"`
	} `json:"general"`
	System struct {
		Rootfs       string `json:"rootfs"`
		DatabasePath string `json:"database_path"`
		TmpDirBase   string `json:"tmpdir_base"`
	} `json:"system"`
	ReposConfDir []string      `json:"repos_confdir"`
	Repositories []*repository `json:"repositories"`
}

// loadConfig joins luet's defaults, its configuration file, the environment and the flags; the later ones win.
func loadConfig(set *pflag.FlagSet, flags globalFlags) (config, error) {
	var c config
	c.Logging.EnableEmoji = true
	c.General.Concurrency = runtime.NumCPU()
	c.System.Rootfs = "/"
	c.System.DatabasePath = "/var/cache/luet"
	c.System.TmpDirBase = filepath.Join(os.TempDir(), "tmpluet")
	c.ReposConfDir = []string{"/etc/luet/repos.conf.d"}

	if content, err := os.ReadFile(configFile(flags.config)); err == nil {
		if err := yaml.Unmarshal(content, &c); err != nil {
			return c, err
		}
	} else if flags.config != "" {
		return c, err
	}
	if words := strings.Fields(os.Getenv("LUET_PLUGIN")); len(words) > 0 {
		c.Plugins = words
	}
	if set.Changed("plugin") {
		c.Plugins, _ = set.GetStringSlice("plugin")
	}
	if set.Changed("concurrency") {
		c.General.Concurrency, _ = set.GetInt("concurrency")
	}
	if set.Changed("emoji") {
		c.Logging.EnableEmoji, _ = set.GetBool("emoji")
	}
	if flags.root != "" {
		c.System.Rootfs = flags.root
	}
	var err error
	if c.System.Rootfs, err = filepath.Abs(c.System.Rootfs); err != nil {
		return c, err
	}
	c.System.DatabasePath = filepath.Join(c.System.Rootfs, c.System.DatabasePath)
	if flags.cache != "" {
		if c.System.DatabasePath, err = filepath.Abs(flags.cache); err != nil {
			return c, err
		}
	}
	if c.System.TmpDirBase, err = filepath.Abs(c.System.TmpDirBase); err != nil {
		return c, err
	}
	return c, c.addRepositories(flags)
}

// configFile is where luet looks: one in the current or the home folder hides the one of the system.
func configFile(given string) string {
	if given != "" {
		return given
	}
	for _, dir := range []string{".", os.Getenv("HOME")} {
		path := filepath.Join(dir, ".luet.yaml")
		if _, err := os.Stat(path); dir != "" && err == nil {
			return path
		}
	}
	return "/etc/luet/luet.yaml"
}

func (c *config) addRepositories(flags globalFlags) error {
	if len(flags.repos) == 0 {
		for _, dir := range c.ReposConfDir {
			files, _ := filepath.Glob(filepath.Join(dir, "*.y*ml"))
			for _, file := range files {
				content, err := os.ReadFile(file)
				repo := new(repository)
				if err == nil && yaml.Unmarshal(content, repo) == nil && repo.Name != "" && len(repo.URLs) > 0 {
					c.Repositories = append(c.Repositories, repo)
				}
			}
		}
	} else {
		c.Repositories = nil
	}
	c.Repositories = slices.DeleteFunc(c.Repositories, func(r *repository) bool { return !r.Enable })
	for i, word := range flags.repos {
		name, url, ok := strings.Cut(word, "=")
		if !ok {
			return fmt.Errorf("--repo %s: expected NAME=REGISTRY/PATH", word)
		}
		if known := c.repository(name); known != nil {
			known.URLs = append(known.URLs, url)
			continue
		}
		c.Repositories = append(c.Repositories, &repository{
			Name: name, URLs: []string{url}, Type: "docker", Enable: true, Priority: i, Cached: flags.cached,
		})
	}
	for _, word := range flags.auth {
		only := ""
		if name, rest, ok := strings.Cut(word, "="); ok && c.repository(name) != nil {
			only, word = name, rest
		}
		user, password, ok := strings.Cut(word, ":")
		if !ok {
			return fmt.Errorf("--auth: expected USER:PASSWORD")
		}
		for _, repo := range c.Repositories {
			if only == "" || only == repo.Name {
				repo.Auth = map[string]string{"username": user, "password": password}
			}
		}
	}
	for _, repo := range c.Repositories {
		if repo.Type != "docker" {
			return fmt.Errorf("repository %s: type %q is not supported by this stand-in", repo.Name, repo.Type)
		}
	}
	sort.SliceStable(c.Repositories, func(i, j int) bool { return c.Repositories[i].Priority < c.Repositories[j].Priority })
	return nil
}

func (c *config) repository(name string) *repository {
	for _, repo := range c.Repositories {
		if repo.Name == name {
			return repo
		}
	}
	return nil
}

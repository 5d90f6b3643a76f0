package main

import (
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/containerd/archive/compression"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"
)

// The names that luet gives the files of a repository, each of which is an image of its own.
const (
	specFile         = "repository.yaml"
	metaFile         = "repository.meta.yaml"
	metadataSuffix   = ".metadata.yaml"
	definitionFile   = "definition.yaml"
	treeKey          = "tree"
	compilerTreeKey  = "compilertree"
	metaKey          = "meta"
	repositoryMaxAge = 24 * time.Hour
)

// The types below are luet's, field by field: they are in its events and in the files of a repository.

type pkg struct {
	ID             int               `json:"id"`
	Name           string            `json:"name"`
	Version        string            `json:"version"`
	Category       string            `json:"category"`
	Requires       []*pkg            `json:"requires"`
	Conflicts      []*pkg            `json:"conflicts"`
	Annotations    map[string]string `json:"annotations,omitempty"`
	Path           string            `json:"path,omitempty"`
	Description    string            `json:"description,omitempty"`
	BuildTimestamp string            `json:"buildtimestamp,omitempty"`
	Labels         map[string]string `json:"labels,omitempty"`
	TreeDir        string            `json:"treedir,omitempty"`
}

func (p *pkg) fingerprint() string { return p.Name + "-" + p.Category + "-" + p.Version }

// dropEmpty makes null of empty lists: so luet shows what it read from a tree.
func (p *pkg) dropEmpty() {
	if len(p.Requires) == 0 {
		p.Requires = nil
	}
	if len(p.Conflicts) == 0 {
		p.Conflicts = nil
	}
	for _, r := range p.Requires {
		r.dropEmpty()
	}
}

func (p *pkg) String() string { return p.Category + "/" + p.Name + "-" + p.Version }

// sanitize makes a tag of a name.
func sanitize(name string) string { return strings.ReplaceAll(name, "+", "-") }

type compileSpec struct {
	Steps               []string       `json:"steps"`
	Env                 []string       `json:"env"`
	Prelude             []string       `json:"prelude"`
	Image               string         `json:"image"`
	Seed                string         `json:"seed"`
	Package             *pkg           `json:"package"`
	PackageDir          string         `json:"package_dir"`
	Retrieve            []string       `json:"retrieve"`
	Unpack              bool           `json:"unpack"`
	Includes            []string       `json:"includes"`
	Excludes            []string       `json:"excludes"`
	BuildOptions        map[string]any `json:"build_options,omitempty"`
	Copy                []any          `json:"copy"`
	RequiresFinalImages bool           `json:"requires_final_images"`
}

type artifact struct {
	Path              string            `json:"path"`
	Dependencies      []*artifact       `json:"dependencies"`
	Spec              *compileSpec      `json:"compilationspec"`
	Checksums         map[string]string `json:"checksums"`
	CompressionType   string            `json:"compressiontype"`
	Files             []string          `json:"files"`
	PackageCacheImage string            `json:"package_cacheimage"`
	Runtime           *pkg              `json:"runtime,omitempty"`
}

// cacheName knows neither the repository nor the content: a package of any repository is found under its name.
func (a *artifact) cacheName() string {
	sum := sha512.Sum512([]byte(a.Spec.Package.fingerprint()))
	name := hex.EncodeToString(sum[:])
	return filepath.Join(name[:2], name+"-d")
}

func (a *artifact) cachedAt(path string) {
	a.Path = path
	a.Checksums = map[string]string{}
}

type repositoryFile struct {
	FileName        string            `json:"filename"`
	CompressionType string            `json:"compressiontype,omitempty"`
	Checksums       map[string]string `json:"checksums,omitempty"`
}

type repository struct {
	Name        string                    `json:"name"`
	Description string                    `json:"description,omitempty"`
	URLs        []string                  `json:"urls"`
	Type        string                    `json:"type"`
	Priority    int                       `json:"priority,omitempty"`
	Enable      bool                      `json:"enable"`
	Cached      bool                      `json:"cached,omitempty"`
	Auth        map[string]string         `json:"auth,omitempty"`
	TreePath    string                    `json:"treepath,omitempty"`
	Verify      bool                      `json:"verify,omitempty"`
	Reference   string                    `json:"reference,omitempty"`
	Revision    int                       `json:"revision,omitempty"`
	LastUpdate  string                    `json:"last_update,omitempty"`
	Index       []*artifact               `json:"index"`
	Files       map[string]repositoryFile `json:"repo_files"`

	tree []*pkg // what can be installed from it
}

type repositoryIndex struct {
	Index []*artifact `json:"index,omitempty"`
}

func (r *repository) authConfig() authn.AuthConfig {
	return authn.AuthConfig{
		Username: r.Auth["username"], Password: r.Auth["password"], Auth: r.Auth["auth"],
		IdentityToken: r.Auth["identitytoken"], RegistryToken: r.Auth["registrytoken"],
	}
}

// sync fetches what is not there or too old: the specification, then the tree, then the index.
func (h *host) sync(r *repository, force bool) (*repository, error) {
	dir := filepath.Join(h.config.System.DatabasePath, "repos", r.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	reference := r.Reference
	if reference == "" {
		reference = specFile
	}
	kept := filepath.Join(dir, reference)
	synced := filepath.Join(dir, "SYNCTIME")

	var remote *repository
	var err error
	fresh := false // whether tree and index are there already
	fetched := ""
	if _, missing := os.Stat(kept); force || missing != nil || olderThan(synced, repositoryMaxAge) {
		if fetched, err = h.fetchFile(r, reference); err != nil {
			return nil, fmt.Errorf("while downloading %s: %w", reference, err)
		}
		defer os.Remove(fetched)
		if remote, err = readYAML[repository](fetched); err != nil {
			return nil, err
		}
		defer os.WriteFile(synced, []byte(time.Now().Format(time.RFC3339)), 0o644)
	} else {
		if remote, err = readYAML[repository](kept); err != nil {
			return nil, err
		}
		fresh = true
	}

	trees, index := filepath.Join(dir, "treefs"), filepath.Join(dir, "metafs")
	if r.Cached {
		if local, err := readYAML[repository](kept); err == nil && !force {
			fresh = fresh || local.Revision == remote.Revision && local.LastUpdate == remote.LastUpdate
		}
	} else {
		if trees, err = h.tempDir("treefs"); err != nil {
			return nil, err
		}
		if index, err = h.tempDir("metafs"); err != nil {
			return nil, err
		}
	}
	// The specification knows where the files are, the configuration knows how to get there.
	remote.URLs, remote.Auth, remote.Type, remote.Priority = r.URLs, r.Auth, r.Type, r.Priority
	remote.Name, remote.Verify, remote.Reference, remote.TreePath = r.Name, r.Verify, r.Reference, trees

	if !fresh {
		tree, err := h.fetchRepositoryFile(remote, treeKey)
		if err != nil {
			return nil, fmt.Errorf("while fetching '%s': %w", treeKey, err)
		}
		defer os.Remove(tree)
		meta, err := h.fetchRepositoryFile(remote, metaKey)
		if err != nil {
			return nil, fmt.Errorf("while fetching '%s': %w", metaKey, err)
		}
		defer os.Remove(meta)
		if r.Cached {
			if err := copyFile(fetched, kept); err != nil {
				return nil, err
			}
			os.RemoveAll(trees)
			os.RemoveAll(index)
		}
		if err := errors.Join(unpackTree(tree, trees), unpackTree(meta, index)); err != nil {
			return nil, err
		}
		seconds, _ := strconv.ParseInt(remote.LastUpdate, 10, 64)
		h.log.info(fmt.Sprintf(":house: Repository %s revision: %d (%s)", remote.Name, remote.Revision, time.Unix(seconds, 0)))
	}
	listed, err := readYAML[repositoryIndex](filepath.Join(index, metaFile))
	if err != nil {
		return nil, err
	}
	remote.Index = listed.Index
	if remote.tree, err = readTree(trees); err != nil {
		return nil, err
	}
	if !fresh {
		h.log.info(fmt.Sprintf(":information_source: Repository: %s Priority: %d Type: %s", remote.Name, remote.Priority, remote.Type))
	}
	return remote, nil
}

// syncAll leaves out the repositories that can't be had, without a word beyond the warnings printed on the way.
func (h *host) syncAll() []*repository {
	var repos []*repository
	for _, r := range h.config.Repositories {
		if synced, err := h.sync(r, false); err == nil {
			repos = append(repos, synced)
		}
	}
	return repos
}

func (h *host) repoUpdateCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "update [NAME...]",
		Short: "Fetch the metadata of repositories again",
		Run: func(_ *cobra.Command, names []string) {
			for _, r := range h.config.Repositories {
				if len(names) == 0 && !r.Cached || len(names) > 0 && !contains(names, r.Name) {
					continue
				}
				if _, err := h.sync(r, force); err != nil {
					h.log.fatal(fmt.Sprintf("Error on sync repository %s: %s", r.Name, err))
				}
			}
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", true, "even when they are not old")
	return cmd
}

// fetchRepositoryFile holds the file against the sum in the specification: one image that is right makes these right.
func (h *host) fetchRepositoryFile(r *repository, key string) (string, error) {
	file, ok := r.Files[key]
	if !ok {
		return "", fmt.Errorf("key %s not present in the repository", key)
	}
	path, err := h.fetchFile(r, file.FileName)
	if err != nil {
		return "", err
	}
	if expected, ok := file.Checksums["sha256"]; ok {
		if sum, err := fileDigest(path); err != nil || sum != expected {
			return "", fmt.Errorf("file integrity check failure: %s is %s, expected %s", file.FileName, sum, expected)
		}
	}
	return path, nil
}

// readTree collects the definitions in a tree: CATEGORY/NAME/VERSION/definition.yaml.
func readTree(dir string) ([]*pkg, error) {
	var packages []*pkg
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Name() != definitionFile {
			return err
		}
		p, err := readYAML[pkg](path)
		if err != nil {
			return err
		}
		p.Path = filepath.Dir(path)
		p.dropEmpty()
		packages = append(packages, p)
		return nil
	})
	return packages, err
}

func writeTree(dir string, packages []*pkg) error {
	for _, p := range packages {
		path := filepath.Join(dir, p.Category, p.Name, p.Version)
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
		if err := writeYAML(filepath.Join(path, definitionFile), p); err != nil {
			return err
		}
	}
	return nil
}

func readYAML[T any](path string) (*T, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	value := new(T)
	if err := yaml.Unmarshal(content, value); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return value, nil
}

func writeYAML(path string, value any) error {
	content, err := yaml.Marshal(value)
	if err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o755)
}

// olderThan tells by the time written in the file.
func olderThan(path string, age time.Duration) bool {
	content, err := os.ReadFile(path)
	if err != nil {
		return true
	}
	written, _ := time.Parse(time.RFC3339, string(content))
	return time.Since(written) > age
}

func contains(words []string, word string) bool {
	for _, w := range words {
		if w == word {
			return true
		}
	}
	return false
}

// openArchive opens a tar archive, compressed or not.
func openArchive(path string) (io.ReadCloser, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	reader, err := compression.DecompressStream(file)
	if err != nil {
		file.Close()
		return nil, err
	}
	return &archiveReader{reader, file}, nil
}

type archiveReader struct {
	io.ReadCloser
	file *os.File
}

func (a *archiveReader) Close() error { return errors.Join(a.ReadCloser.Close(), a.file.Close()) }

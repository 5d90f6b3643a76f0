package main

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/containerd/archive"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/spf13/cobra"
)

// repositoryEvent is the payload of repository.pre.build and repository.post.build.
type repositoryEvent struct {
	Repo *repository
	Path string
}

// publisher is one run of create-repo.
type publisher struct {
	*host
	engine      engine
	prefix      string // REGISTRY/PATH
	packages    string // folder with archives and their metadata
	snapshot    string
	description string
	name        string
	urls        []string
	push, force bool
	reset       bool
}

func (h *host) createRepoCommand() *cobra.Command {
	p := publisher{host: h}
	var backend, kind string
	cmd := &cobra.Command{
		Use:   "create-repo",
		Short: "Publish the packages of a folder as a docker repository",
		Args:  cobra.NoArgs,
		Run: func(*cobra.Command, []string) {
			var err error
			if p.engine, err = newEngine(backend); err == nil {
				err = p.run()
			}
			if err != nil {
				h.log.fatal(err.Error())
			}
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&backend, "backend", "docker", "docker, buildah, or none: push without an engine")
	flags.StringVar(&p.prefix, "output", "", "REGISTRY/PATH")
	flags.StringVar(&p.packages, "packages", "build", "folder with NAME-CATEGORY-VERSION.package.tar and their .metadata.yaml, see pack")
	flags.StringVar(&p.name, "name", "luet", "name of the repository")
	flags.StringVar(&p.description, "descr", "luet", "description of the repository")
	flags.StringSliceVar(&p.urls, "urls", nil, "addresses to write into it")
	flags.StringVar(&p.snapshot, "snapshot-id", "", "prefix of the snapshot's files (default the time)")
	flags.BoolVar(&p.push, "push-images", false, "push, don't only build")
	flags.BoolVar(&p.force, "force-push", false, "push packages that the registry has already")
	flags.BoolVar(&p.reset, "reset-revision", false, "start again with revision 1")
	flags.StringVar(&kind, "type", "docker", "kind of repository; only docker here")
	flags.Bool("from-metadata", true, "always on here: the tree is made of the metadata files")
	flags.StringSlice("tree", nil, "accepted, not read")
	return cmd
}

func (p *publisher) run() error {
	repo := &repository{
		Name: p.name, Description: p.description, URLs: p.urls, Type: "docker", Enable: true,
		Files: map[string]repositoryFile{
			treeKey: {FileName: "tree.tar.gz", CompressionType: "gzip"},
			metaKey: {FileName: metaFile + ".tar", CompressionType: "none"},
		},
	}
	if repo.URLs == nil {
		repo.URLs = []string{}
	}
	if p.snapshot == "" {
		p.snapshot = time.Now().Format("20060102150405")
	}
	if err := p.pushPackages(repo); err != nil {
		return err
	}
	return p.pushRepository(repo)
}

// pushPackages pushes, for each package, the image of its metadata and then its own.
func (p *publisher) pushPackages(repo *repository) error {
	p.log.info("Generating docker images for packages in " + p.prefix)
	return filepath.WalkDir(p.packages, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, metadataSuffix) {
			return err
		}
		if err := p.pushFile(path, true); err != nil {
			return fmt.Errorf("while pushing metadata file associated to the artifact: %w", err)
		}
		m, err := readYAML[metadata](path)
		if err != nil {
			return err
		}
		a := m.artifact(filepath.Dir(path))
		image := p.prefix + ":" + sanitize(a.Spec.Package.fingerprint())
		if p.push && !p.force && available(image) {
			p.log.info("Image " + image + " already present, skipping. use --force-push to override")
		} else {
			p.log.info(fmt.Sprintf("Generating final image %s for package %s", image, a.Spec.Package))
			if err := p.pushImage(a.Path, image); err != nil {
				return err
			}
		}
		repo.Index = append(repo.Index, a)
		repo.tree = append(repo.tree, a.Runtime)
		return nil
	})
}

// pushRepository pushes what describes the packages: once under its own name, once as a snapshot.
func (p *publisher) pushRepository(repo *repository) error {
	spec := p.prefix + ":" + specFile
	dir, err := p.tempDir("repo")
	if err != nil {
		return err
	}
	if err := p.nextRevision(repo, spec); err != nil {
		return err
	}
	repo.LastUpdate = strconv.FormatInt(time.Now().Unix(), 10)
	p.log.info(fmt.Sprintf("For repository %s creating revision %d and last update %s...", repo.Name, repo.Revision, repo.LastUpdate))
	p.bus.publish(repositoryPreBuild, repositoryEvent{repo, spec})

	for _, key := range []string{treeKey, compilerTreeKey} {
		if _, ok := repo.Files[key]; !ok {
			repo.Files[key] = repositoryFile{FileName: key + ".tar.gz", CompressionType: "gzip"}
		}
		content, err := p.tempDir("archive")
		if err != nil {
			return err
		}
		if err := errors.Join(writeTree(content, repo.tree), p.addFile(repo, key, content, dir)); err != nil {
			return err
		}
		if err := p.pushFile(filepath.Join(dir, repo.Files[key].FileName), false); err != nil {
			return err
		}
	}

	content, err := p.tempDir("metadata")
	if err != nil {
		return err
	}
	if err := writeYAML(filepath.Join(content, metaFile), repositoryIndex{baseNames(repo.Index)}); err != nil {
		return err
	}
	if err := p.addFile(repo, metaKey, content, dir); err != nil {
		return err
	}
	if err := p.pushFile(filepath.Join(dir, repo.Files[metaKey].FileName), false); err != nil {
		return err
	}
	if err := p.pushSpec(repo, specFile, repo.Files, dir); err != nil {
		return err
	}

	files := map[string]repositoryFile{}
	for key, file := range repo.Files {
		name := p.snapshot + "-" + file.FileName
		if err := copyFile(filepath.Join(dir, file.FileName), filepath.Join(dir, name)); err != nil {
			return err
		}
		file.FileName = name
		files[key] = file
	}
	if err := p.pushSpec(repo, p.snapshot+"-"+specFile, files, dir); err != nil {
		return err
	}
	for _, key := range []string{metaKey, treeKey, compilerTreeKey} {
		if err := p.pushFile(filepath.Join(dir, files[key].FileName), false); err != nil {
			return err
		}
	}
	p.bus.publish(repositoryPostBuild, repositoryEvent{repo, p.prefix})
	return nil
}

// nextRevision counts on from the repository that the registry has.
func (p *publisher) nextRevision(repo *repository, spec string) error {
	repo.Revision = 1
	if !available(spec) {
		return nil
	}
	p.bus.publish(imagePrePull, engineOptions{ImageName: spec})
	if err := p.engine.pull(spec); err != nil {
		return fmt.Errorf("while downloading '%s': %w", spec, err)
	}
	p.bus.publish(imagePostPull, engineOptions{ImageName: spec})
	saved, err := p.tempFile("snapshot")
	if err != nil {
		return err
	}
	dir, err := p.tempDir("old")
	if err != nil {
		return err
	}
	if err := p.engine.save(spec, saved); err != nil {
		return err
	}
	img, err := tarball.ImageFromPath(saved, nil)
	if err != nil {
		return err
	}
	if _, err := extract(img, dir); err != nil {
		return err
	}
	old, err := readYAML[repository](filepath.Join(dir, specFile))
	if err == nil && !p.reset {
		repo.Revision = old.Revision + 1
	}
	return err
}

// addFile archives a folder as one of the repository's files and notes its sum.
func (p *publisher) addFile(repo *repository, key, content, dir string) error {
	file := repo.Files[key]
	path := filepath.Join(dir, file.FileName)
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	defer out.Close()
	if file.CompressionType == "gzip" {
		compressed := gzip.NewWriter(out)
		err = errors.Join(archive.WriteDiff(context.Background(), compressed, "", content), compressed.Close())
	} else {
		err = archive.WriteDiff(context.Background(), out, "", content)
	}
	if err != nil {
		return err
	}
	sum, err := fileDigest(path)
	file.Checksums = map[string]string{"sha256": sum}
	repo.Files[key] = file
	return err
}

// pushSpec pushes the specification without the index, which has a file of its own.
func (p *publisher) pushSpec(repo *repository, name string, files map[string]repositoryFile, dir string) error {
	spec := *repo
	spec.Index, spec.Files, spec.Auth = []*artifact{}, files, nil
	if err := writeYAML(filepath.Join(dir, name), &spec); err != nil {
		return err
	}
	// The file in the image is called repository.yaml, the snapshot's has the prefix.
	return p.pushFile(filepath.Join(dir, name), false)
}

// pushFile pushes an image that holds one file.
func (p *publisher) pushFile(path string, onlyNew bool) error {
	image := p.prefix + ":" + sanitize(filepath.Base(path))
	if onlyNew && p.push && !p.force && available(image) {
		p.log.info("Image " + image + " already present, skipping. use --force-push to override")
		return nil
	}
	dir, err := p.tempDir("artifact")
	if err != nil {
		return err
	}
	layer, err := p.tempFile("archive")
	if err != nil {
		return err
	}
	if err := copyFile(path, filepath.Join(dir, filepath.Base(path))); err != nil {
		return err
	}
	if err := packTree(dir, layer); err != nil {
		return err
	}
	return p.pushImage(layer, image)
}

// pushImage makes an image of an archive, puts it into the engine and has the engine push it.
func (p *publisher) pushImage(layer, image string) error {
	saved, err := p.tempFile("tempimage")
	if err != nil {
		return err
	}
	if err := writeImage(layer, saved, image); err != nil {
		return err
	}
	if err := p.engine.load(saved); err != nil {
		return fmt.Errorf("while loading image: %w", err)
	}
	if !p.push {
		return nil
	}
	options := engineOptions{ImageName: image}
	p.bus.publish(imagePrePush, options)
	if err := p.engine.push(image); err != nil {
		return fmt.Errorf("Failed while pushing image: '%s': %w", image, err)
	}
	p.log.success("Pushed image: " + image)
	p.bus.publish(imagePostPush, options)
	return nil
}

// baseNames is the index with the archives' names in place of their paths.
func baseNames(index []*artifact) []*artifact {
	var named []*artifact
	for _, a := range index {
		copied := *a
		copied.Path = filepath.Base(a.Path)
		named = append(named, &copied)
	}
	return named
}

// packCommand stands for "luet build": it makes a package of a folder.
func packCommand(h *host) *cobra.Command {
	var packages string
	var requires []string
	cmd := &cobra.Command{
		Use:   "pack CATEGORY/NAME@VERSION DIR",
		Short: "Make a package of a folder, for create-repo (in place of luet build)",
		Args:  cobra.ExactArgs(2),
		Run: func(_ *cobra.Command, args []string) {
			if err := pack(packages, args[0], args[1], requires); err != nil {
				h.log.fatal(err.Error())
			}
		},
	}
	cmd.Flags().StringVar(&packages, "packages", "build", "folder to write to")
	cmd.Flags().StringSliceVar(&requires, "requires", nil, "CATEGORY/NAME[@VERSION] of packages that it needs")
	return cmd
}

func pack(packages, word, dir string, requires []string) error {
	named := parseSelector(word)
	if named.category == "" || named.version == "" {
		return fmt.Errorf("%s: expected CATEGORY/NAME@VERSION", word)
	}
	if err := os.MkdirAll(packages, 0o755); err != nil {
		return err
	}
	built := &metadataPackage{Name: named.name, Category: named.category, Version: named.version}
	runtime := *built
	built.BuildTimestamp, built.TreeDir = time.Now().String(), "."
	for _, word := range requires {
		r := parseSelector(word)
		if r.version == "" {
			r.version = ">=0"
		}
		runtime.Requires = append(runtime.Requires, &metadataPackage{Name: r.name, Category: r.category, Version: r.version})
	}
	fingerprint := built.pkg().fingerprint()
	path := filepath.Join(packages, fingerprint+".package.tar")
	if err := packTree(dir, path); err != nil {
		return err
	}
	files, err := listTree(path)
	if err != nil {
		return err
	}
	sum, err := fileDigest(path)
	if err != nil {
		return err
	}
	m := &metadata{Path: path, CompressionType: "none", Files: files, Checksums: map[string]string{"sha256": sum}, Runtime: &runtime}
	m.CompileSpec.Package = built
	return writeYAML(filepath.Join(packages, fingerprint+metadataSuffix), m)
}

// metadata is what luet build leaves beside a package: an artifact, but under other names than everywhere else.
type metadata struct {
	Path        string `json:"path"`
	CompileSpec struct {
		Package *metadataPackage `json:"package"`
	} `json:"compilespec"`
	Checksums       map[string]string `json:"checksums"`
	CompressionType string            `json:"compressiontype"`
	Files           []string          `json:"files"`
	Runtime         *metadataPackage  `json:"runtime,omitempty"`
}

type metadataPackage struct {
	Name           string             `json:"name"`
	Version        string             `json:"version"`
	Category       string             `json:"category"`
	Requires       []*metadataPackage `json:"packagerequires"`
	BuildTimestamp string             `json:"buildtimestamp,omitempty"`
	TreeDir        string             `json:"treedir,omitempty"`
}

func (p *metadataPackage) pkg() *pkg {
	q := &pkg{
		Name: p.Name, Version: p.Version, Category: p.Category, Requires: []*pkg{}, Conflicts: []*pkg{},
		BuildTimestamp: p.BuildTimestamp, TreeDir: p.TreeDir,
	}
	for _, r := range p.Requires {
		q.Requires = append(q.Requires, r.pkg())
	}
	return q
}

// artifact finds the archive beside the metadata: the path in it is that of the machine that built the package.
func (m *metadata) artifact(dir string) *artifact {
	built := m.CompileSpec.Package.pkg()
	runtime := built
	if m.Runtime != nil {
		runtime = m.Runtime.pkg()
	}
	return &artifact{
		Path: filepath.Join(dir, filepath.Base(m.Path)), Dependencies: []*artifact{}, CompressionType: m.CompressionType,
		Files: m.Files, Runtime: runtime, Checksums: m.Checksums,
		Spec: &compileSpec{
			Steps: []string{}, Env: []string{}, Prelude: []string{}, Package: built, Retrieve: []string{},
			Includes: []string{}, Excludes: []string{}, Copy: []any{}, BuildOptions: buildOptions(),
		},
	}
}

// buildOptions are the options of a build that luet notes in the metadata, with its defaults.
func buildOptions() map[string]any {
	none := []string{}
	return map[string]any{
		"PushImageRepository": "luet/cache", "PullImageRepository": []string{"luet/cache"},
		"PullFirst": false, "KeepImg": false, "Push": false, "Concurrency": 0, "CompressionType": "",
		"Wait": false, "OnlyDeps": false, "NoDeps": false,
		"SolverOptions": map[string]any{
			"Concurrency": 0, "Optimize": false, "Type": "", "LearnRate": 0, "Discount": 0, "MaxAttempts": 0, "Implementation": 0,
		},
		"BuildValuesFile": none, "BuildValues": []map[string]any{{}}, "PackageTargetOnly": false, "Rebuild": false,
		"BackendArgs": none, "BackendType": "", "TemplatesFolder": none, "PushFinalImages": false,
		"PushFinalImagesForce": false, "GenerateFinalImages": false, "PushFinalImagesRepository": "",
		"RuntimeDatabase": nil, "Context": nil,
	}
}

package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/crane"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// engineOptions is luet's backend.Options, the payload of the push and pull events.
type engineOptions struct {
	ImageName, SourcePath, DockerFileName, Destination, Context string
	BackendArgs                                                 []string
}

// engine holds images and moves them, by the command line of a program as luet does. What it pushed stays in it.
type engine interface {
	load(archive string) error
	push(image string) error
	pull(image string) error
	save(image, archive string) error
}

func newEngine(backend string) (engine, error) {
	switch backend {
	case "buildah":
		return buildah{}, nil
	case "docker":
		return docker{}, nil
	case "none":
		return noEngine{}, nil
	}
	return nil, fmt.Errorf("unsupported backend %q (docker, buildah, none)", backend)
}

func run(program string, args ...string) error {
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %w: %s", program, args, err, out)
	}
	return nil
}

type buildah struct{}

func (buildah) load(archive string) error { return run("buildah", "pull", "docker-archive:"+archive) }
func (buildah) push(image string) error   { return run("buildah", "push", image) }
func (buildah) pull(image string) error   { return run("buildah", "pull", image) }

func (buildah) save(image, archive string) error {
	os.Remove(archive) // buildah refuses to write into an archive that exists
	return run("buildah", "push", image, "docker-archive:"+archive)
}

type docker struct{}

func (docker) load(archive string) error        { return run("docker", "load", "-i", archive) }
func (docker) push(image string) error          { return run("docker", "push", image) }
func (docker) pull(image string) error          { return run("docker", "pull", image) }
func (docker) save(image, archive string) error { return run("docker", "save", image, "-o", archive) }

// noEngine pushes by itself. luet has no such backend; it makes repositories quickly, for tests of everything else.
type noEngine struct{}

// The archive is kept until the push: load is followed by the push of the same image.
var loaded = map[string]string{}

func (noEngine) load(archive string) error {
	manifest, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return os.Open(archive) })
	if err != nil {
		return err
	}
	for _, descriptor := range manifest {
		for _, tag := range descriptor.RepoTags {
			loaded[tag] = archive
		}
	}
	return nil
}

func (noEngine) push(image string) error {
	tag, err := name.NewTag(image)
	if err != nil {
		return err
	}
	img, err := tarball.ImageFromPath(loaded[tag.String()], &tag)
	if err != nil {
		return err
	}
	return remote.Write(tag, img, remote.WithAuthFromKeychain(authn.DefaultKeychain))
}

func (noEngine) pull(string) error { return nil }

func (noEngine) save(image, archive string) error {
	img, err := crane.Pull(image)
	if err != nil {
		return err
	}
	return crane.Save(img, image, archive)
}

// available asks the registry, whatever its certificate: a lie here means that nothing is pushed.
func available(image string) bool {
	transport := remote.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	_, err := crane.Digest(image, crane.Insecure, crane.WithTransport(transport))
	return err == nil
}

// writeImage makes an image of one layer, the content of a tar archive, and writes it in docker's archive format.
func writeImage(layerArchive, imageArchive, image string) error {
	ref, err := name.ParseReference(image)
	if err != nil {
		return err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return openArchive(layerArchive) })
	if err != nil {
		return err
	}
	file, err := empty.Image.ConfigFile()
	if err != nil {
		return err
	}
	file.OS, file.Architecture = runtime.GOOS, runtime.GOARCH
	img, err := mutate.ConfigFile(empty.Image, file)
	if err != nil {
		return err
	}
	img, err = mutate.Append(img, mutate.Addendum{Layer: layer, History: v1.History{CreatedBy: "luet", Comment: "Custom image"}})
	if err != nil {
		return err
	}
	return tarball.WriteToFile(imageArchive, ref, img)
}

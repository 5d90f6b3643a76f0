package main

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/containerd/containerd/archive"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/spf13/cobra"
)

// unpackEvent is the payload of image.pre.unpack and image.post.unpack.
type unpackEvent struct{ Image, Dest string }

// pulled is what came.
type pulled struct {
	digest v1.Hash
	size   int64
}

func (p pulled) printSize(log *logger) { log.info("Size: " + humanSize(p.size)) }

func humanSize(bytes int64) string {
	value, unit := float64(bytes), "B"
	for _, next := range []string{"KiB", "MiB", "GiB"} {
		if value < 1024 {
			break
		}
		value, unit = value/1024, next
	}
	return fmt.Sprintf("%.4g%s", value, unit)
}

// pull unpacks an image of a registry into dest. The manifest is there before the first event, the layers are fetched
// after it. mutate.Extract does not check the layers' bytes, archive.Apply sets owners and modes as root.
func (h *host) pull(image, dest string, auth authn.AuthConfig, platform *v1.Platform) (pulled, error) {
	if err := os.MkdirAll(dest, os.ModePerm); err != nil {
		return pulled{}, err
	}
	ref, err := name.ParseReference(image)
	if err != nil {
		return pulled{}, err
	}
	options := []remote.Option{remote.WithAuth(authn.FromConfig(auth)), remote.WithTransport(http.DefaultTransport)}
	if platform != nil {
		options = append(options, remote.WithPlatform(*platform))
	}
	img, err := remote.Image(ref, options...)
	if err != nil {
		return pulled{}, err
	}
	if _, err := img.Manifest(); err != nil {
		return pulled{}, err
	}
	digest, err := img.Digest()
	if err != nil {
		return pulled{}, err
	}
	h.bus.publish(imagePreUnpack, unpackEvent{image, dest})
	size, err := extract(img, dest)
	if err != nil {
		return pulled{}, err
	}
	h.bus.publish(imagePostUnpack, unpackEvent{image, dest})
	return pulled{digest, size}, nil
}

// pullLocal is pull for "util unpack --local" and file:// archives: no authentication, no event before.
func (h *host) pullLocal(image, dest string, platform *v1.Platform) (pulled, error) {
	if err := os.MkdirAll(dest, os.ModePerm); err != nil {
		return pulled{}, err
	}
	var img v1.Image
	var err error
	if path, ok := strings.CutPrefix(image, "file:/"); ok {
		img, err = tarball.ImageFromPath(strings.TrimPrefix(path, "/"), nil)
	} else {
		var ref name.Reference
		if ref, err = name.ParseReference(image); err != nil {
			return pulled{}, err
		}
		var options []remote.Option
		if platform != nil {
			options = append(options, remote.WithPlatform(*platform))
		}
		img, err = remote.Image(ref, options...)
	}
	if err != nil {
		return pulled{}, err
	}
	digest, err := img.Digest()
	if err != nil {
		return pulled{}, err
	}
	size, err := extract(img, dest)
	if err != nil {
		return pulled{}, err
	}
	h.bus.publish(imagePostUnpack, unpackEvent{image, dest})
	return pulled{digest, size}, nil
}

func extract(img v1.Image, dest string) (int64, error) {
	reader := mutate.Extract(img)
	defer reader.Close()
	return archive.Apply(context.Background(), dest, reader, archive.WithFilter(func(*tar.Header) (bool, error) { return true, nil }))
}

func (h *host) unpackCommand() *cobra.Command {
	var local bool
	var wanted string
	var auth authn.AuthConfig
	cmd := &cobra.Command{
		Use:   "unpack IMAGE DIR",
		Short: "Unpack an image into a folder",
		Args:  cobra.ExactArgs(2),
		Run: func(_ *cobra.Command, args []string) {
			if err := h.unpack(args[0], args[1], local, wanted, auth); err != nil {
				h.log.error(err.Error())
				os.Exit(1)
			}
		},
	}
	cmd.Flags().BoolVar(&local, "local", false, "no event before, no authentication")
	cmd.Flags().StringVar(&wanted, "platform", "", "os/arch[/variant]")
	cmd.Flags().StringVar(&auth.Username, "auth-username", "", "user at the registry")
	cmd.Flags().StringVar(&auth.Password, "auth-password", "", "password at the registry")
	return cmd
}

func (h *host) unpack(image, dir string, local bool, wanted string, auth authn.AuthConfig) error {
	dest, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	var platform *v1.Platform
	if wanted != "" {
		if platform, err = v1.ParsePlatform(wanted); err != nil {
			return err
		}
	}
	h.log.info("Downloading " + image + " to " + dest)
	if local || strings.HasPrefix(image, "file://") {
		got, err := h.pullLocal(image, dest, platform)
		if err == nil {
			got.printSize(h.log)
		}
		return err
	}
	got, err := h.pull(image, dest, auth, platform)
	if err == nil {
		h.log.info(fmt.Sprintf("Pulled: %s %s", got.digest, image))
		got.printSize(h.log)
	}
	return err
}

// hostPlatform is what luet asks registries for: no variant.
func hostPlatform() *v1.Platform { return &v1.Platform{OS: runtime.GOOS, Architecture: runtime.GOARCH} }

// fetchFile pulls the image that carries one file of a repository and returns the file's path. All mirrors unpack
// into one folder: what a mirror left that failed half-way stays there.
func (h *host) fetchFile(repo *repository, file string) (string, error) {
	dest, err := h.tempDir("tree")
	if err != nil {
		return "", err
	}
	lastErr := errors.New("no repository urls configured")
	for _, url := range repo.URLs {
		path, err := h.tempFile("DockerClient")
		if err != nil {
			return "", err
		}
		image := url + ":" + sanitize(file)
		h.log.info("Downloading " + image)
		got, err := h.pull(image, dest, repo.authConfig(), hostPlatform())
		if err != nil {
			lastErr = err
			h.log.warn(fmt.Sprintf("failed downloading image %s: %s", image, err))
			continue
		}
		h.log.info("Pulled: " + got.digest.String())
		got.printSize(h.log)
		if err := copyFile(filepath.Join(dest, file), path); err != nil {
			lastErr = err
			continue
		}
		return path, nil
	}
	return "", fmt.Errorf("file not available in any of the specified repositories: %w", lastErr)
}

func (h *host) cachePath(a *artifact) string {
	return filepath.Join(h.config.System.DatabasePath, "packages", a.cacheName())
}

func (h *host) cached(a *artifact) bool {
	_, err := os.Stat(h.cachePath(a))
	return err == nil
}

// fetchPackage returns the archive of a package, from the cache (no event) or from a mirror.
func (h *host) fetchPackage(m *match) (string, error) {
	cached := h.cachePath(m.Artifact)
	if h.cached(m.Artifact) {
		m.Artifact.cachedAt(cached)
		return cached, nil
	}
	dest, err := h.tempDir("image")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dest)
	lastErr := errors.New("no repository urls configured")
	for _, url := range m.Repository.URLs {
		image := url + ":" + sanitize(m.Artifact.Spec.Package.fingerprint())
		h.log.info("Downloading image " + image)
		got, err := h.pull(image, dest, m.Repository.authConfig(), hostPlatform())
		if err != nil {
			lastErr = err
			h.log.warn(fmt.Sprintf("failed downloading image %s: %s", image, err))
			continue
		}
		h.log.info(fmt.Sprintf("Image: %s. Pulled: %s. Size: %s", image, got.digest, humanSize(got.size)))
		if err := packTree(dest, cached); err != nil {
			h.log.error(fmt.Sprintf("Failed compressing package %s: %s", image, err))
			lastErr = err
			continue
		}
		m.Artifact.cachedAt(cached)
		return cached, nil
	}
	return "", fmt.Errorf("no image available from repositories: %w", lastErr)
}

// packTree writes a folder as a tar archive, with owners, modes, links, devices and extended attributes.
func packTree(dir, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	out, err := os.CreateTemp(filepath.Dir(path), ".new")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	if err := archive.WriteDiff(context.Background(), out, "", dir); err != nil {
		out.Close()
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return os.Rename(out.Name(), path)
}

// unpackTree is the reverse of packTree; compressed archives are recognised.
func unpackTree(path, dir string) error {
	reader, err := openArchive(path)
	if err != nil {
		return err
	}
	defer reader.Close()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	_, err = archive.Apply(context.Background(), dir, reader)
	return err
}

// listTree names everything but folders in an archive.
func listTree(path string) ([]string, error) {
	reader, err := openArchive(path)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	files := []string{}
	entries := tar.NewReader(reader)
	for {
		header, err := entries.Next()
		if err == io.EOF {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if header.Typeflag != tar.TypeDir {
			files = append(files, filepath.Clean(header.Name))
		}
	}
}

func fileDigest(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

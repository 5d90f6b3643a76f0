// Asks containerd what kubelet asks it, over CRI:
//
//	cri SOCKET pull IMAGE...           one after another; `-p` in front of them: all at once
//	cri SOCKET run IMAGE FOLDER CGROUP a Pod of one container, to its end; prints what it wrote
//
// One line of JSON is printed for each image: {"image", "ok", "error", "milliseconds", "output"}.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

type answer struct {
	Image        string `json:"image"`
	OK           bool   `json:"ok"`
	Error        string `json:"error"`
	Milliseconds int64  `json:"milliseconds"`
	Output       string `json:"output"`
}

func main() {
	if len(os.Args) < 4 {
		fail(fmt.Errorf("usage: cri SOCKET pull|run IMAGE..."))
	}
	connection, err := grpc.NewClient("unix://"+os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	fail(err)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	images := runtime.NewImageServiceClient(connection)
	switch os.Args[2] {
	case "pull":
		pull(ctx, images, os.Args[3:])
	case "run":
		began := time.Now()
		output, err := run(ctx, images, runtime.NewRuntimeServiceClient(connection), os.Args[3], os.Args[4], os.Args[5])
		say(os.Args[3], output, began, err)
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

var mutex sync.Mutex

func say(image, output string, began time.Time, err error) {
	it := answer{Image: image, OK: err == nil, Output: output, Milliseconds: time.Since(began).Milliseconds()}
	if err != nil {
		it.Error = err.Error()
	}
	line, _ := json.Marshal(it)
	mutex.Lock()
	defer mutex.Unlock()
	fmt.Println(string(line))
}

func pull(ctx context.Context, images runtime.ImageServiceClient, names []string) {
	one := func(name string) {
		began := time.Now()
		_, err := images.PullImage(ctx, &runtime.PullImageRequest{Image: &runtime.ImageSpec{Image: name}})
		say(name, "", began, err)
	}
	if names[0] != "-p" {
		for _, name := range names {
			one(name)
		}
		return
	}
	var all sync.WaitGroup
	for _, name := range names[1:] {
		all.Go(func() { one(name) })
	}
	all.Wait()
}

// run does what kubelet does for a Pod: pull, sandbox, container, start; then waits, and removes all of it.
func run(ctx context.Context, images runtime.ImageServiceClient, pods runtime.RuntimeServiceClient, image, folder, cgroup string) (string, error) {
	if _, err := images.PullImage(ctx, &runtime.PullImageRequest{Image: &runtime.ImageSpec{Image: image}}); err != nil {
		return "", err
	}
	// The network of the node: no CNI plugin is needed for that.
	node := &runtime.NamespaceOption{Network: runtime.NamespaceMode_NODE}
	sandbox := &runtime.PodSandboxConfig{
		Metadata:     &runtime.PodSandboxMetadata{Name: "pod", Namespace: "default", Uid: "1"},
		LogDirectory: folder,
		Linux: &runtime.LinuxPodSandboxConfig{
			CgroupParent:    cgroup,
			SecurityContext: &runtime.LinuxSandboxSecurityContext{NamespaceOptions: node},
		},
	}
	pod, err := pods.RunPodSandbox(ctx, &runtime.RunPodSandboxRequest{Config: sandbox})
	if err != nil {
		return "", fmt.Errorf("RunPodSandbox: %w", err)
	}
	defer func() {
		pods.StopPodSandbox(ctx, &runtime.StopPodSandboxRequest{PodSandboxId: pod.PodSandboxId})
		pods.RemovePodSandbox(ctx, &runtime.RemovePodSandboxRequest{PodSandboxId: pod.PodSandboxId})
	}()
	container, err := pods.CreateContainer(ctx, &runtime.CreateContainerRequest{
		PodSandboxId:  pod.PodSandboxId,
		SandboxConfig: sandbox,
		Config: &runtime.ContainerConfig{
			Metadata: &runtime.ContainerMetadata{Name: "main"},
			Image:    &runtime.ImageSpec{Image: image},
			LogPath:  "main.log",
			Linux:    &runtime.LinuxContainerConfig{SecurityContext: &runtime.LinuxContainerSecurityContext{NamespaceOptions: node}},
		},
	})
	if err != nil {
		return "", fmt.Errorf("CreateContainer: %w", err)
	}
	if _, err := pods.StartContainer(ctx, &runtime.StartContainerRequest{ContainerId: container.ContainerId}); err != nil {
		return "", fmt.Errorf("StartContainer: %w", err)
	}
	for {
		status, err := pods.ContainerStatus(ctx, &runtime.ContainerStatusRequest{ContainerId: container.ContainerId})
		if err != nil {
			return "", fmt.Errorf("ContainerStatus: %w", err)
		}
		if status.Status.State == runtime.ContainerState_CONTAINER_EXITED {
			if status.Status.ExitCode != 0 {
				return "", fmt.Errorf("the container ended with %d: %s", status.Status.ExitCode, status.Status.Message)
			}
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	bytes, err := os.ReadFile(filepath.Join(folder, "main.log"))
	return strings.TrimSpace(string(bytes)), err
}

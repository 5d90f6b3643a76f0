package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
)

// The test binary plays all parts: under these names it is the host, and plugins that a host can meet.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "luet-host":
		main()
	case "recorder":
		record()
	case "refuser":
		if os.Args[1] == "image.post.unpack" && strings.Contains(os.Args[2], "yip-toolchain") {
			answer("", "no :beer: today")
		}
		answer("", "")
	case "talker":
		answer("all is well", "")
	case "crasher":
		fmt.Fprintln(os.Stderr, "oh")
		os.Exit(3)
	default:
		os.Exit(m.Run())
	}
}

// call is one call of a plugin, as in the recordings of the real luet.
type call struct {
	Argv []string `json:"argv"`
	File *struct {
		Content string `json:"content"`
		Mode    any    `json:"mode"`
	} `json:"file,omitempty"`
	DestMode string `json:"dest_mode,omitempty"`
}

// envelope is the JSON in argv[2].
type envelope struct{ Name, Data, File string }

func (c call) open() (event envelope, payload map[string]any, err error) {
	if err = json.Unmarshal([]byte(c.Argv[1]), &event); err != nil {
		return
	}
	data := event.Data
	if c.File != nil {
		data = c.File.Content
	}
	err = json.Unmarshal([]byte(data), &payload)
	return
}

func answer(state, problem string) {
	json.NewEncoder(os.Stdout).Encode(map[string]string{"state": state, "data": "", "error": problem})
	os.Exit(0)
}

// record appends its call to the file that the test reads.
func record() {
	c := call{Argv: os.Args[1:]}
	var event envelope
	if err := json.Unmarshal([]byte(os.Args[2]), &event); err != nil {
		log.Fatal(err)
	}
	if event.File != "" {
		content, err := os.ReadFile(event.File)
		if err != nil {
			log.Fatal(err)
		}
		info, err := os.Stat(event.File)
		if err != nil {
			log.Fatal(err)
		}
		c.File = &struct {
			Content string `json:"content"`
			Mode    any    `json:"mode"`
		}{string(content), info.Mode().String()}
	}
	if event.Name == "image.post.unpack" {
		var payload unpackEvent
		if err := json.Unmarshal([]byte(event.Data), &payload); err != nil {
			log.Fatal(err)
		}
		if info, err := os.Stat(payload.Dest); err == nil {
			c.DestMode = info.Mode().String()
		}
	}
	line, err := json.Marshal(c)
	if err != nil {
		log.Fatal(err)
	}
	file, err := os.OpenFile(os.Getenv("RECORDING"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		log.Fatal(err)
	}
	// One write: calls that run at the same time don't mix.
	if _, err := file.Write(append(line, '\n')); err != nil {
		log.Fatal(err)
	}
	answer("", "")
}

// rig is a registry, a root to install into, and the programs.
type rig struct {
	t      *testing.T
	dir    string
	prefix string // REGISTRY/PATH
}

func newRig(t *testing.T) *rig {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	r := &rig{t, t.TempDir(), strings.TrimPrefix(server.URL, "http://") + "/demo/repo"}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"bin", "tmp", "home"} {
		if err := os.Mkdir(filepath.Join(r.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"luet-host", "recorder", "refuser", "talker", "crasher"} {
		if err := os.Symlink(self, filepath.Join(r.dir, "bin", name)); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func (r *rig) write(path, content string, mode os.FileMode) {
	r.t.Helper()
	path = filepath.Join(r.dir, path)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o600), os.Chmod(path, mode)); err != nil {
		r.t.Fatal(err)
	}
}

// host runs the stand-in, and returns what it printed, its exit code, and what the recorder saw.
func (r *rig) host(arguments string, env ...string) (string, int, []call) {
	r.t.Helper()
	recording := filepath.Join(r.dir, "recording")
	os.Remove(recording)
	cmd := exec.Command(filepath.Join(r.dir, "bin", "luet-host"), strings.Fields(arguments)...)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), append([]string{
		"PATH=" + filepath.Join(r.dir, "bin"), "TMPDIR=" + filepath.Join(r.dir, "tmp"), "HOME=" + filepath.Join(r.dir, "home"),
		"RECORDING=" + recording, "LUET_PLUGIN=",
	}, env...)...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.t.Fatal(err)
	}
	var calls []call
	if content, err := os.ReadFile(recording); err == nil {
		calls = parseCalls(r.t, content)
	}
	return string(out), cmd.ProcessState.ExitCode(), calls
}

func (r *rig) hostOK(arguments string) []call {
	r.t.Helper()
	out, code, calls := r.host(arguments)
	if code != 0 {
		r.t.Fatalf("%s: exit %d\n%s", arguments, code, out)
	}
	return calls
}

// publish makes the repository of the recordings: foo, and yip, which needs it.
func (r *rig) publish(yip string) []call {
	r.t.Helper()
	os.RemoveAll(filepath.Join(r.dir, "src"))
	r.write("src/foo/usr/share/foo/foo", "foo\n", 0o644)
	r.write("src/yip/usr/bin/yip", "yip "+yip+"\n", 0o4755)
	os.RemoveAll(filepath.Join(r.dir, "build"))
	r.hostOK("pack --packages build test/foo@0.1+1 src/foo")
	r.hostOK("pack --packages build --requires test/foo toolchain/yip@" + yip + " src/yip")
	return r.hostOK("create-repo --plugin recorder --backend none --push-images --packages build --name acme" +
		" --output " + r.prefix + " --urls " + r.prefix)
}

func (r *rig) repository() string {
	return " --repo acme=" + r.prefix + " --auth u:not-a-real-password --cached --root root --cache db "
}

func parseCalls(t *testing.T, content []byte) []call {
	t.Helper()
	var calls []call
	lines := bufio.NewScanner(bytes.NewReader(content))
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var c call
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		calls = append(calls, c)
	}
	return calls
}

// seen is what has to be equal in a recording and a replay.
type seen struct {
	event, image, dest string
	shape              any
}

var (
	snapshotTag = regexp.MustCompile(`:\d{14}-`)
	randomName  = regexp.MustCompile(`^.*/tmpluet/([a-z]+)\d+$`)
)

func reduce(t *testing.T, calls []call) []seen {
	t.Helper()
	var all []seen
	for _, c := range calls {
		event, payload, err := c.open()
		if err != nil {
			t.Fatal(err)
		}
		if event.Name != c.Argv[0] {
			t.Errorf("argv[1] is %q, the envelope says %q", c.Argv[0], event.Name)
		}
		s := seen{event: event.Name, shape: shape(payload)}
		for _, key := range []string{"Image", "ImageName", "Path"} {
			if image, ok := payload[key].(string); ok {
				_, path, _ := strings.Cut(image, "/") // without the registry
				s.image = snapshotTag.ReplaceAllString(path, ":SNAPSHOT-")
			}
		}
		if dest, ok := payload["Dest"].(string); ok {
			s.dest = "given"
			if m := randomName.FindStringSubmatch(dest); m != nil {
				s.dest = m[1]
			}
		}
		all = append(all, s)
	}
	return sorted(all)
}

// sorted brings into one order what happens at the same time, or in the order of a Go map: the unpacking of packages
// (of each image the event before stays before the event after) and the reports of what was installed.
func sorted(all []seen) []seen {
	group := func(s seen) string {
		switch {
		case s.dest == "image":
			return "packages"
		case s.event == string(packageInstall):
			return s.event
		}
		return ""
	}
	for start := 0; start < len(all); {
		end := start + 1
		for end < len(all) && group(all[start]) != "" && group(all[end]) == group(all[start]) {
			end++
		}
		slices.SortStableFunc(all[start:end], func(a, b seen) int {
			return strings.Compare(a.image+fmt.Sprint(a.shape), b.image+fmt.Sprint(b.shape))
		})
		start = end
	}
	return all
}

// shape is a JSON value without its values: names and kinds. The objects in a list are laid over one another.
func shape(value any) any {
	switch value := value.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, v := range value {
			out[key] = shape(v)
		}
		return out
	case []any:
		out := map[string]any{}
		for _, v := range value {
			if object, ok := shape(v).(map[string]any); ok {
				maps.Copy(out, object)
			}
		}
		return []any{out}
	case nil:
		return "null"
	}
	return fmt.Sprintf("%T", value)
}

// recorded reads calls of the real luet.
func recorded(t *testing.T, file string) []call {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("../data/luet-events", file))
	if err != nil {
		t.Fatal(err)
	}
	return parseCalls(t, content)
}

// TestReplay runs what was recorded of the real luet, and expects the same events.
func TestReplay(t *testing.T) {
	recorded(t, "05-install.jsonl")
	r := newRig(t)
	for _, step := range []struct {
		file string
		run  func() []call
	}{
		{"04-create-repo.jsonl", func() []call { return r.publish("1.0") }},
		{"05-install.jsonl", func() []call { return r.hostOK("install --plugin recorder -y toolchain/yip" + r.repository()) }},
		{"07-create-repo-2.jsonl", func() []call { return r.publish("1.1") }},
		{"08-repo-update.jsonl", func() []call { return r.hostOK("repo update --plugin recorder" + r.repository()) }},
		{"08-upgrade.jsonl", func() []call { return r.hostOK("upgrade --plugin recorder -y" + r.repository()) }},
		{"09-uninstall.jsonl", func() []call { return r.hostOK("uninstall --plugin recorder -y toolchain/yip" + r.repository()) }},
		{"10-util-unpack.jsonl", func() []call {
			return r.hostOK("util unpack --plugin recorder " + r.prefix + ":yip-toolchain-1.1 out")
		}},
	} {
		t.Run(step.file, func(t *testing.T) {
			calls := step.run()
			want, got := reduce(t, recorded(t, step.file)), reduce(t, calls)
			for i := range max(len(want), len(got)) {
				var a, b seen
				if i < len(want) {
					a = want[i]
				}
				if i < len(got) {
					b = got[i]
				}
				if !reflect.DeepEqual(a, b) {
					t.Errorf("event %d:\nluet %+v\nhere %+v", i, a, b)
				}
			}
			for _, c := range calls {
				event, _, _ := c.open()
				if (c.File != nil) != (len(event.Data) == 0) {
					t.Errorf("%s: either data or a file", event.Name)
				}
				if c.File != nil && (c.File.Mode != "-rw-------" || len(c.File.Content) <= 8192) {
					t.Errorf("%s: file of mode %v with %d bytes", event.Name, c.File.Mode, len(c.File.Content))
				}
				if c.DestMode != "" && c.DestMode != "drwx------" && step.file != "10-util-unpack.jsonl" {
					t.Errorf("%s: Dest has mode %s", event.Name, c.DestMode)
				}
			}
		})
	}
}

func TestManyPackagesGoThroughAFile(t *testing.T) {
	r := newRig(t)
	r.write("src/usr/share/x", "x", 0o644)
	for i := range 12 {
		r.hostOK(fmt.Sprintf("pack --packages build test/p%02d@1 src", i))
	}
	calls := r.hostOK("create-repo --plugin recorder --backend none --push-images --packages build --output " + r.prefix)
	for _, c := range calls {
		if event, _, _ := c.open(); strings.HasPrefix(event.Name, "repository.") && event.File == "" {
			t.Errorf("%s: %d bytes in argv", event.Name, len(event.Data))
		}
	}
}

func TestRefusalEndsTheHost(t *testing.T) {
	r := newRig(t)
	r.publish("1.0")
	out, code, _ := r.host("install --plugin refuser -y toolchain/yip" + r.repository())
	if code != 2 || !regexp.MustCompile(`(?m)^  ERROR    Plugin refuser at /.*/bin/refuser had an error: no 🍺  today$`).MatchString(out) {
		t.Errorf("exit %d\n%s", code, out)
	}
	if _, err := os.Stat(filepath.Join(r.dir, "root", "usr")); err == nil {
		t.Error("something was installed")
	}
	left, _ := filepath.Glob(filepath.Join(r.dir, "tmp", "tmpluet", "image*", "usr", "bin", "yip"))
	if len(left) != 1 {
		t.Errorf("the refused package is not left in its Dest: %v", left)
	}
}

func TestCrashEndsTheHost(t *testing.T) {
	r := newRig(t)
	r.publish("1.0")
	out, code, _ := r.host("util unpack --plugin crasher " + r.prefix + ":foo-test-0.1-1 out")
	if code != 2 || !strings.Contains(out, "had an error: error while executing plugin: exit status 3oh") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

func TestStateIsShown(t *testing.T) {
	r := newRig(t)
	r.publish("1.0")
	out, _, _ := r.host("util unpack "+r.prefix+":foo-test-0.1-1 out", "LUET_PLUGIN=absent talker")
	if strings.Count(out, " INFO   SUCCESS 🍭  Plugin talker at ") != 2 || strings.Count(out, " INFO   all is well\n") != 2 {
		t.Errorf("the state is not shown twice:\n%s", out)
	}
	if !strings.Contains(out, " INFO   🍭 Enabled plugins:\n") || strings.Contains(out, "absent") {
		t.Errorf("wrong list of plugins:\n%s", out)
	}
}

func TestMissingPluginIsSilent(t *testing.T) {
	r := newRig(t)
	r.publish("1.0")
	// The variable is split at blanks only: with a comma, it names a plugin that is nowhere.
	for flag, env := range map[string]string{
		"":                 "LUET_PLUGIN=recorder,talker",
		" --plugin absent": "LUET_PLUGIN=recorder", // the flag wins
	} {
		out, code, calls := r.host("util unpack "+r.prefix+":foo-test-0.1-1 out"+flag, env)
		if code != 0 || len(calls) != 0 || strings.Contains(out, "plugins") || strings.Contains(out, "absent") {
			t.Errorf("%s%s: exit %d, %d calls\n%s", env, flag, code, len(calls), out)
		}
	}
}

func TestCacheHitFiresNoEvent(t *testing.T) {
	r := newRig(t)
	r.publish("1.0")
	if calls := r.hostOK("install --plugin recorder -y test/foo" + r.repository()); len(calls) != 9 {
		t.Errorf("%d events, expected 9", len(calls))
	}
	r.hostOK("uninstall -y test/foo" + r.repository())
	calls := r.hostOK("install --plugin recorder -y test/foo" + r.repository())
	if len(calls) != 1 || calls[0].Argv[0] != string(packageInstall) {
		t.Errorf("events from caches: %v", calls)
	}
}

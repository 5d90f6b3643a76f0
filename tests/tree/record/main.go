package main

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"github.com/containerd/containerd/archive"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/match"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

var _ = match.Name
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func run(dir string) {
	os.RemoveAll(dir + "/host"); os.Remove(dir + "/host.err"); os.RemoveAll(dir + "/umoci"); os.Remove(dir + "/umoci.err"); os.RemoveAll(dir + "/layout")
	fs, _ := filepath.Glob(dir + "/*.tar*")
	sort.Strings(fs)
	img := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	img = mutate.ConfigMediaType(img, types.OCIConfigJSON)
	for _, f := range fs {
		b, err := os.ReadFile(f)
		must(err)
		l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }, tarball.WithMediaType(types.OCILayer))
		if err != nil {
			os.WriteFile(dir+"/host.err", []byte("layer: "+err.Error()), 0644)
			os.WriteFile(dir+"/umoci.err", []byte("layer: "+err.Error()), 0644)
			return
		}
		img, err = mutate.AppendLayers(img, l)
		must(err)
	}
	must(os.Mkdir(dir+"/host", 0700))
	r := mutate.Extract(img)
	if _, err := archive.Apply(context.Background(), dir+"/host", r); err != nil {
		os.WriteFile(dir+"/host.err", []byte(err.Error()), 0644)
	}
	r.Close()
	ls, _ := img.Layers()
	tw := tar.NewWriter(io.Discard)
	for _, l := range ls {
		r, err := l.Uncompressed()
		must(err)
		tr := tar.NewReader(r)
		for {
			h, err := tr.Next()
			if err == io.EOF { break }
			if err == nil {
				h.Name = filepath.Clean(h.Name); h.Format = tar.FormatPAX
				err = tw.WriteHeader(h)
			}
			if err == nil && h.Size > 0 { _, err = io.CopyN(tw, tr, h.Size) }
			if err != nil { os.WriteFile(dir+"/host.err", []byte("extract: "+err.Error()), 0644); break }
		}
	}
	if b, _ := os.ReadFile(fs[0]); len(fs) == 1 && !bytes.Contains(b, []byte(".wh.")) && os.Getenv("GNU") != "" {
		os.RemoveAll(dir + "/gnu"); os.Remove(dir + "/gnu.err")
		must(os.Mkdir(dir+"/gnu", 0700))
		if out, err := exec.Command("tar", "-C", dir+"/gnu", "-xpf", fs[0], "--xattrs", "--xattrs-include=*", "--numeric-owner", "--warning=no-timestamp").CombinedOutput(); err != nil {
			os.WriteFile(dir+"/gnu.err", append([]byte(err.Error()), out...), 0644)
		}
	}
	if os.Getenv("NOUMOCI") != "" {
		return
	}
	p, err := layout.Write(dir+"/layout", empty.Index)
	must(err)
	must(p.AppendImage(img, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "x"})))
	if out, err := exec.Command("umoci", "raw", "unpack", "--image", dir+"/layout:x", dir+"/umoci").CombinedOutput(); err != nil {
		s := strings.TrimSpace(string(out))
		if i := strings.LastIndex(s, "\n"); i > 0 && false { s = s[i:] }
		if len(s) > 300 { s = s[len(s)-300:] }
		os.WriteFile(dir+"/umoci.err", []byte(err.Error()+s), 0644)
	}
	os.RemoveAll(dir + "/layout")
}

var parts = []string{"a", "b", "c", "d", "é", "n\nl", "x y"}
var opqs = []string{".wh..wh..opq"}

type gen struct {
	r    *rand.Rand
	wild bool
}

func (g gen) name() string {
	n := 1 + g.r.Intn(3)
	s := []string{}
	k := 4
	if g.r.Intn(4) == 0 { k = len(parts) }
	for i := 0; i < n; i++ {
		s = append(s, parts[g.r.Intn(k)])
	}
	return strings.Join(s, "/")
}

func (g gen) header(name string, known []string) (*tar.Header, []byte) {
	h := &tar.Header{Name: name, Mode: []int64{0644, 0755, 04755, 02755, 01777, 0600, 0}[g.r.Intn(7)], Uid: g.r.Intn(3) * 1000, Gid: g.r.Intn(3) * 100}
	if g.r.Intn(12) == 0 { h.Uid = 3000000 }
	var body []byte
	x := map[string]string{}
	if g.r.Intn(4) == 0 { x["SCHILY.xattr.user.k"+strconv.Itoa(g.r.Intn(2))] = []string{"v", "", "\n=\x00\xff", "w"}[g.r.Intn(4)] }
	switch g.r.Intn(12) {
	case 0, 1, 2, 3:
		h.Typeflag = tar.TypeReg
		body = bytes.Repeat([]byte{byte('a' + g.r.Intn(26))}, g.r.Intn(1500))
		h.Size = int64(len(body))
		if g.r.Intn(5) == 0 { x["SCHILY.xattr.security.capability"] = "\x01\x00\x00\x02\x0a\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" }
	case 4, 5, 6:
		h.Typeflag = tar.TypeDir
	case 7:
		h.Typeflag = tar.TypeSymlink
		h.Linkname = []string{"a", "b", "/a", "b/c", "nowhere", "/a/b", "./c", "é"}[g.r.Intn(8)]
		if g.wild && g.r.Intn(3) == 0 { h.Linkname = "../" + parts[g.r.Intn(4)] }
	case 8, 9:
		h.Typeflag = tar.TypeLink
		if len(known) > 0 && g.r.Intn(30) != 0 { h.Linkname = known[g.r.Intn(len(known))] } else { h.Linkname = g.name() }
		if g.r.Intn(8) == 0 { h.Linkname = "./" + h.Linkname }
		if g.r.Intn(8) == 0 { h.Linkname = "/" + h.Linkname }
	case 10:
		h.Typeflag = []byte{tar.TypeChar, tar.TypeBlock}[g.r.Intn(2)]
		h.Devmajor, h.Devminor = int64(g.r.Intn(300)), int64(g.r.Intn(100000))
	case 11:
		h.Typeflag = tar.TypeFifo
	}
	if g.r.Intn(10) == 0 && h.Typeflag == tar.TypeSymlink { x = map[string]string{} }
	if len(x) > 0 && (h.Typeflag == tar.TypeReg || h.Typeflag == tar.TypeDir || h.Typeflag == tar.TypeLink || g.r.Intn(60) == 0) { h.PAXRecords = x }
	return h, body
}

// sane: as a tool would write: parents listed first, each name once, links to files of this layer
func (g gen) sane(w *tar.Writer) {
	done := map[string]bool{}
	isdir := map[string]bool{}
	files := map[string]*tar.Header{}
	var known []string
	n := 3 + g.r.Intn(25)
	for i := 0; i < n; i++ {
		name := g.name()
		if done[name] { continue }
		ok := true
		for d := filepath.Dir(name); d != "."; d = filepath.Dir(d) { if done[d] && !isdir[d] { ok = false } }
		if !ok { continue }
		var ps []string
		for d := filepath.Dir(name); d != "."; d = filepath.Dir(d) { ps = append([]string{d}, ps...) }
		for _, d := range ps {
			if !done[d] {
				done[d] = true; isdir[d] = true
				must(w.WriteHeader(&tar.Header{Name: d + "/", Typeflag: tar.TypeDir, Mode: 0755, Uid: 5, Gid: 6}))
			}
		}
		if g.r.Intn(6) == 0 {
			base := ".wh." + filepath.Base(name)
			if g.r.Intn(3) == 0 { base = ".wh..wh..opq" }
			wn := filepath.Join(filepath.Dir(name), base)
			if done[wn] || (base != ".wh..wh..opq" && done[name]) { continue }
			done[wn] = true
			if base != ".wh..wh..opq" { done[name] = true }
			must(w.WriteHeader(&tar.Header{Name: wn, Typeflag: tar.TypeReg, Mode: 0}))
			continue
		}
		h, body := g.header(name, known)
		if h.Typeflag == tar.TypeLink {
			if len(known) == 0 { continue }
			t := known[g.r.Intn(len(known))]
			th := *files[t]
			h.Linkname = t; h.Mode = th.Mode; h.Uid = th.Uid; h.Gid = th.Gid; h.PAXRecords = th.PAXRecords
		}
		done[name] = true
		if h.Typeflag == tar.TypeDir { isdir[name] = true; h.Name += "/" }
		if h.Typeflag == tar.TypeReg { known = append(known, name); files[name] = h }
		must(w.WriteHeader(h))
		w.Write(body)
	}
}

func (g gen) wildLayer(w *tar.Writer) {
	var known []string
	n := 2 + g.r.Intn(9)
	for i := 0; i < n; i++ {
		name := g.name()
		if g.r.Intn(6) == 0 {
			base := ".wh." + filepath.Base(name)
			if g.r.Intn(3) == 0 { base = ".wh..wh..opq" }
			t := byte(tar.TypeReg)
			if g.r.Intn(10) == 0 { t = tar.TypeDir }
			h := &tar.Header{Name: filepath.Join(filepath.Dir(name), base), Typeflag: t, Mode: 0644}
			if g.r.Intn(30) == 0 { h.Name += "/x"; h.Typeflag = tar.TypeReg }
			must(w.WriteHeader(h))
			continue
		}
		h, body := g.header(name, known)
		if h.Typeflag == tar.TypeLink && len(known) == 0 { continue }
		if h.Typeflag == tar.TypeReg { known = append(known, name) }
		if g.r.Intn(10) == 0 { h.Name = "./" + h.Name }
		if g.r.Intn(15) == 0 { h.Name = "/" + h.Name }
		if g.r.Intn(20) == 0 { h.Name = strings.Replace(h.Name, "/", "//", 1) }
		if h.Typeflag == tar.TypeDir && g.r.Intn(2) == 0 { h.Name += "/" }
		if g.r.Intn(150) == 0 { must(w.WriteHeader(&tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: []string{"pax_global_header", "tmp/GlobalHead", "a"}[g.r.Intn(3)], PAXRecords: map[string]string{"comment": "x"}})) }
		if err := w.WriteHeader(h); err != nil { panic(fmt.Sprint(err, h)) }
		w.Write(body)
	}
}

func main() {
	switch os.Args[1] {
	case "fuzz": // fuzz out from to seeds...
		from, _ := strconv.Atoi(os.Args[3])
		to, _ := strconv.Atoi(os.Args[4])
		seeds := os.Args[5:]
		for i := from; i < to; i++ {
			r := rand.New(rand.NewSource(int64(i)))
			b, err := os.ReadFile(seeds[r.Intn(len(seeds))])
			must(err)
			if len(b) < 1024 { continue }
			for k := 0; k < 1+r.Intn(3); k++ {
				blk := b[512*r.Intn(len(b)/512):][:512]
				o := []int{r.Intn(512), r.Intn(100), 100 + r.Intn(48), 156, 257 + r.Intn(8), 329 + r.Intn(16), 124 + r.Intn(12), 345 + r.Intn(50)}[r.Intn(8)]
				blk[o] = []byte{0, ' ', '0', '7', '9', 0x80, 0xff, '/', '.', byte(r.Intn(256)), 'x', 'g', 'L', 'S', '1', '5'}[r.Intn(16)]
				copy(blk[148:], "        ")
				s := 0
				for _, c := range blk { s += int(c) }
				copy(blk[148:], fmt.Sprintf("%06o\x00 ", s))
			}
			d := fmt.Sprintf("%s/fuzz%05d", os.Args[2], i)
			must(os.MkdirAll(d, 0755))
			must(os.WriteFile(d+"/00.tar", b, 0644))
			run(d)
		}
	case "run":
		for _, d := range os.Args[2:] { run(d) }
	case "gen": // gen out kind from to
		from, _ := strconv.Atoi(os.Args[4])
		to, _ := strconv.Atoi(os.Args[5])
		for i := from; i < to; i++ {
			d := fmt.Sprintf("%s/%s%05d", os.Args[2], os.Args[3], i)
			must(os.MkdirAll(d, 0755))
			g := gen{rand.New(rand.NewSource(int64(i))), os.Args[3] == "wild"}
			layers := 1 + g.r.Intn(4)
			for l := 0; l < layers; l++ {
				var b bytes.Buffer
				w := tar.NewWriter(&b)
				if g.wild { g.wildLayer(w) } else { g.sane(w) }
				w.Close()
				must(os.WriteFile(fmt.Sprintf("%s/%02d.tar", d, l), b.Bytes(), 0644))
			}
			run(d)
		}
	}
}

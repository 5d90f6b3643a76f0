package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"
)

// match is a package to install and where it comes from; it is the payload of package.install.
type match struct {
	Package    *pkg
	Artifact   *artifact
	Repository *repository
}

// system is what is installed.
type system struct {
	path     string
	NextID   int                 `json:"next_id"`
	Packages []*pkg              `json:"packages"`
	Files    map[string][]string `json:"files"` // by fingerprint
}

func (h *host) loadSystem() (*system, error) {
	path := filepath.Join(h.config.System.DatabasePath, "installed.yaml")
	s, err := readYAML[system](path)
	if errors.Is(err, os.ErrNotExist) {
		s, err = new(system), os.MkdirAll(filepath.Dir(path), 0o755)
	}
	if err != nil {
		return nil, err
	}
	if s.Files == nil {
		s.Files = map[string][]string{}
	}
	s.path = path
	return s, nil
}

func (s *system) add(p *pkg, files []string) error {
	s.NextID++
	p.ID = s.NextID
	s.Packages = append(s.Packages, p)
	s.Files[p.fingerprint()] = files
	return writeYAML(s.path, s)
}

func (s *system) remove(p *pkg) error {
	s.Packages = slices.DeleteFunc(s.Packages, func(q *pkg) bool { return q.fingerprint() == p.fingerprint() })
	delete(s.Files, p.fingerprint())
	return writeYAML(s.path, s)
}

// find returns what is installed under that name, whichever version.
func (s *system) find(category, name string) *pkg {
	for _, p := range s.Packages {
		if p.Name == name && (category == "" || p.Category == category) {
			return p
		}
	}
	return nil
}

// selector is CATEGORY/NAME, CATEGORY/NAME@VERSION or NAME; a requirement says ">=VERSION" at most.
type selector struct{ category, name, version string }

func parseSelector(word string) selector {
	word, version, _ := strings.Cut(word, "@")
	category, name, ok := strings.Cut(word, "/")
	if !ok {
		category, name = "", word
	}
	return selector{category, name, version}
}

func (s selector) String() string {
	version := s.version
	if version == "" && s.category != "" {
		version = ">=0"
	}
	return s.category + "/" + s.name + "-" + version
}

func (s selector) matches(p *pkg) bool {
	if p.Name != s.name || s.category != "" && p.Category != s.category {
		return false
	}
	if least, ok := strings.CutPrefix(s.version, ">="); ok {
		return compareVersions(p.Version, least) >= 0
	}
	return s.version == "" || p.Version == s.version
}

// find takes the newest version in the first repository, by priority, that has a match. This is why an unsigned
// repository of high priority can replace the packages of all others.
func find(repos []*repository, wanted selector) (*match, error) {
	for _, r := range repos {
		best := r.newest(wanted)
		if best == nil {
			continue
		}
		for _, a := range r.Index {
			if a.Spec != nil && a.Spec.Package != nil && a.Spec.Package.fingerprint() == best.fingerprint() {
				return &match{best, a, r}, nil
			}
		}
		return nil, fmt.Errorf("%s is in the tree of %s but not in its index", best, r.Name)
	}
	return nil, nil
}

func (r *repository) newest(wanted selector) *pkg {
	var best *pkg
	for _, p := range r.tree {
		if wanted.matches(p) && (best == nil || compareVersions(p.Version, best.Version) > 0) {
			best = p
		}
	}
	return best
}

// findUpgrade takes the newest version of all repositories, whatever their priority. This is why an unsigned
// repository of low priority can replace a package as well, once that is installed.
func findUpgrade(repos []*repository, installed *pkg) (*match, error) {
	newest := installed.Version
	for _, r := range repos {
		if p := r.newest(selector{installed.Category, installed.Name, ""}); p != nil && compareVersions(p.Version, newest) > 0 {
			newest = p.Version
		}
	}
	if newest == installed.Version {
		return nil, nil
	}
	return find(repos, selector{installed.Category, installed.Name, newest})
}

// resolve finds the packages and, after them, what they require and is not installed.
func resolve(repos []*repository, s *system, selectors []selector) ([]*match, error) {
	var found []*match
	seen := map[string]bool{}
	var missing []string
	for len(selectors) > 0 {
		wanted := selectors[0]
		selectors = selectors[1:]
		if s.find(wanted.category, wanted.name) != nil {
			continue
		}
		m, err := find(repos, wanted)
		if err != nil {
			return nil, err
		}
		if m == nil {
			missing = append(missing, wanted.String())
			continue
		}
		if seen[m.Package.fingerprint()] {
			continue
		}
		seen[m.Package.fingerprint()] = true
		found = append(found, m)
		for _, r := range m.Package.Requires {
			selectors = append(selectors, selector{r.Category, r.Name, r.Version})
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("package '%s' not found", strings.Join(missing, "', '"))
	}
	return found, nil
}

func (h *host) installCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "install PACKAGE...",
		Short: "Install packages: CATEGORY/NAME, CATEGORY/NAME@VERSION or NAME",
		Args:  cobra.MinimumNArgs(1),
		Run: func(_ *cobra.Command, args []string) {
			if err := h.install(args); err != nil {
				h.log.fatal("Error: " + err.Error())
			}
		},
	}
	h.installFlags(cmd)
	cmd.Flags().BoolVar(&h.relax, "relax", false, "don't upgrade what is installed first")
	return cmd
}

func (h *host) installFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&h.yes, "yes", "y", false, "don't ask questions")
	cmd.Flags().BoolVar(&h.downloadOnly, "download-only", false, "fill the cache, install nothing")
}

func (h *host) install(words []string) error {
	repos := h.syncAll()
	s, err := h.loadSystem()
	if err != nil {
		return err
	}
	if len(s.Packages) > 0 && !h.relax {
		h.log.info(":thinking: Checking for available upgrades")
		if err := h.upgrade(repos, s); err != nil {
			return fmt.Errorf("while checking upgrades before install: %w", err)
		}
	}
	var selectors []selector
	for _, word := range words {
		selectors = append(selectors, parseSelector(word))
	}
	found, err := resolve(repos, s, selectors)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		h.log.info("No packages to install")
		return nil
	}
	h.log.info("Packages that are going to be installed in the system:")
	for _, m := range found {
		h.log.info(fmt.Sprintf("%s (%s)", m.Package, m.Repository.Name))
	}
	if err := h.ask(); err != nil {
		return err
	}
	if err := h.prepare(found, s, nil); err != nil || h.downloadOnly {
		return err
	}
	return h.place(found, s)
}

// prepare downloads and looks for files that two packages would share. Packages about to be replaced don't count.
func (h *host) prepare(found []*match, s *system, replaced []*pkg) error {
	for _, m := range found {
		m.Package.BuildTimestamp = m.Artifact.Spec.Package.BuildTimestamp
	}
	h.download(found)
	h.log.info("Checking for file conflicts..")
	owner := map[string]string{}
	for _, p := range s.Packages {
		if slices.ContainsFunc(replaced, func(q *pkg) bool { return q.fingerprint() == p.fingerprint() }) {
			continue
		}
		for _, file := range s.Files[p.fingerprint()] {
			owner[file] = p.String()
		}
	}
	for _, m := range found {
		// A download that failed is tried again here, this time it ends the run.
		path, err := h.fetchPackage(m)
		if err != nil {
			return fmt.Errorf("file conflict found: Failed downloading package: Error on download artifact: %w", err)
		}
		files, err := listTree(path)
		if err != nil {
			return err
		}
		for _, file := range files {
			if other, taken := owner[file]; taken {
				return fmt.Errorf("file conflict found: file conflict between '%s' and '%s' ( file: %s )", other, m.Package, file)
			}
			owner[file] = m.Package.String()
		}
	}
	h.log.info("Done checking for file conflicts..")
	return nil
}

// download fills the cache, with as many workers as luet would start.
func (h *host) download(found []*match) {
	if !slices.ContainsFunc(found, func(m *match) bool { return !h.cached(m.Artifact) }) {
		return
	}
	work := make(chan *match)
	var workers sync.WaitGroup
	for range h.config.General.Concurrency {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for m := range work {
				if _, err := h.fetchPackage(m); err != nil {
					h.log.error(fmt.Sprintf("Failed downloading package %s %s", m.Package.Name, err))
					continue
				}
				h.log.success(fmt.Sprintf(":package: Package %s downloaded", m.Package))
			}
		}()
	}
	for _, m := range found {
		work <- m
	}
	close(work)
	workers.Wait()
}

// place unpacks all packages into the root and then reports each of them.
func (h *host) place(found []*match, s *system) error {
	lists := map[*match][]string{}
	for _, m := range found {
		path, err := h.fetchPackage(m)
		if err != nil {
			return err
		}
		if lists[m], err = listTree(path); err != nil {
			return err
		}
		if err := unpackTree(path, h.config.System.Rootfs); err != nil {
			return err
		}
		h.log.info(fmt.Sprintf(":package: Package %s installed", m.Package))
	}
	for _, m := range found {
		if err := s.add(m.Package, lists[m]); err != nil {
			return err
		}
		h.bus.publish(packageInstall, m)
	}
	return nil
}

func (h *host) upgradeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "upgrade",
		Short: "Replace what is installed by newer versions",
		Args:  cobra.NoArgs,
		Run: func(*cobra.Command, []string) {
			repos := h.syncAll()
			h.log.info(":thinking: Computing upgrade, please hang tight... :zzz:")
			s, err := h.loadSystem()
			if err == nil {
				err = h.upgrade(repos, s)
			}
			if err != nil {
				h.log.fatal("Error: " + err.Error())
			}
		},
	}
	h.installFlags(cmd)
	return cmd
}

// upgradeEvents are the payloads of package.pre.upgrade and package.post.upgrade.
type (
	preUpgrade  struct{ Uninstall, Install []*pkg }
	postUpgrade struct {
		Error              error
		Uninstall, Install []*pkg
	}
)

func (h *host) upgrade(repos []*repository, s *system) error {
	var old, replacements []*pkg
	var found []*match
	for _, p := range s.Packages {
		m, err := findUpgrade(repos, p)
		if err != nil {
			return err
		}
		if m != nil {
			old, replacements, found = append(old, p), append(replacements, m.Package), append(found, m)
		}
	}
	if len(found) == 0 {
		h.log.info("Nothing to upgrade")
		return nil
	}
	h.log.info(":zap: Proposed version changes to the system:")
	for i := range old {
		h.log.info(fmt.Sprintf("%s -> %s (%s)", old[i], replacements[i].Version, found[i].Repository.Name))
	}
	if !h.yes { // asking replaces the two events
		if err := h.ask(); err != nil {
			return err
		}
		return h.swap(old, found, s)
	}
	h.bus.publish(packagePreUpgrade, preUpgrade{old, replacements})
	err := h.swap(old, found, s)
	h.bus.publish(packagePostUpgrade, postUpgrade{err, old, replacements})
	return err
}

// swap downloads everything before it removes anything.
func (h *host) swap(old []*pkg, found []*match, s *system) error {
	if err := h.prepare(found, s, old); err != nil || h.downloadOnly {
		return err
	}
	keep := map[string]bool{}
	for _, m := range found {
		files, err := listTree(m.Artifact.Path)
		if err != nil {
			return err
		}
		for _, file := range files {
			keep[file] = true
		}
	}
	for _, p := range old {
		if err := h.erase(p, keep, s); err != nil {
			return err
		}
	}
	for _, m := range found {
		if err := h.place([]*match{m}, s); err != nil {
			return err
		}
	}
	return nil
}

func (h *host) uninstallCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "uninstall PACKAGE...",
		Short: "Remove packages",
		Args:  cobra.MinimumNArgs(1),
		Run: func(_ *cobra.Command, words []string) {
			s, err := h.loadSystem()
			for _, word := range words {
				if err != nil {
					break
				}
				wanted := parseSelector(word)
				if p := s.find(wanted.category, wanted.name); p != nil {
					if err = h.erase(p, nil, s); err == nil {
						h.log.info(fmt.Sprintf(":recycle: %s Removed :heavy_check_mark:", p))
					}
				} else {
					err = fmt.Errorf("Package %s not found in the system", word)
				}
			}
			if err != nil {
				h.log.fatal("Error: " + err.Error())
			}
		},
	}
	h.installFlags(cmd)
	return cmd
}

// erase removes a package's files, but not those to keep, and the folders that are left empty.
func (h *host) erase(p *pkg, keep map[string]bool, s *system) error {
	for _, file := range s.Files[p.fingerprint()] {
		if keep[file] {
			continue
		}
		path := filepath.Join(h.config.System.Rootfs, file)
		os.Remove(path)
		for dir := filepath.Dir(path); dir != h.config.System.Rootfs && os.Remove(dir) == nil; dir = filepath.Dir(dir) {
		}
	}
	if err := s.remove(p); err != nil {
		return err
	}
	h.bus.publish(packageUninstall, p)
	return nil
}

// compareVersions compares part by part, numbers as numbers.
func compareVersions(a, b string) int {
	split := func(version string) []string {
		return strings.FieldsFunc(version, func(r rune) bool { return strings.ContainsRune(".-+_", r) })
	}
	as, bs := split(a), split(b)
	for i := range max(len(as), len(bs)) {
		x, y := "0", "0"
		if i < len(as) {
			x = as[i]
		}
		if i < len(bs) {
			y = bs[i]
		}
		m, errM := strconv.Atoi(x)
		n, errN := strconv.Atoi(y)
		if errM == nil && errN == nil {
			if m != n {
				return m - n
			}
			continue
		}
		if c := strings.Compare(x, y); c != 0 {
			return c
		}
	}
	return 0
}

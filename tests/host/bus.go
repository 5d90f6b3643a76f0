package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"

	"github.com/kyokomi/emoji"
	"github.com/mudler/go-pluggable"
)

// The events that luet knows. A plugin is called for each of them.
const (
	packageInstall           pluggable.EventType = "package.install"
	packageUninstall         pluggable.EventType = "package.uninstall"
	packagePreUpgrade        pluggable.EventType = "package.pre.upgrade"
	packagePostUpgrade       pluggable.EventType = "package.post.upgrade"
	packagePreBuild          pluggable.EventType = "package.pre.build"
	packagePostBuild         pluggable.EventType = "package.post.build"
	packagePreBuildArtifact  pluggable.EventType = "package.pre.build_artifact"
	packagePostBuildArtifact pluggable.EventType = "package.post.build_artifact"
	repositoryPreBuild       pluggable.EventType = "repository.pre.build"
	repositoryPostBuild      pluggable.EventType = "repository.post.build"
	imagePreBuild            pluggable.EventType = "image.pre.build"
	imagePostBuild           pluggable.EventType = "image.post.build"
	imagePrePull             pluggable.EventType = "image.pre.pull"
	imagePostPull            pluggable.EventType = "image.post.pull"
	imagePrePush             pluggable.EventType = "image.pre.push"
	imagePostPush            pluggable.EventType = "image.post.push"
	imagePreUnpack           pluggable.EventType = "image.pre.unpack"
	imagePostUnpack          pluggable.EventType = "image.post.unpack"
)

var allEvents = []pluggable.EventType{
	packageInstall, packageUninstall, packagePreUpgrade, packagePostUpgrade,
	packagePreBuild, packagePostBuild, packagePreBuildArtifact, packagePostBuildArtifact,
	repositoryPreBuild, repositoryPostBuild, imagePreBuild, imagePostBuild,
	imagePrePull, imagePostPull, imagePrePush, imagePostPush, imagePreUnpack, imagePostUnpack,
}

// bus passes events to the plugins and acts on what they answer.
type bus struct{ manager *pluggable.Manager }

// newBus loads the plugins that are on PATH. Of one that is not, nothing is said, as in luet.
func newBus(log *logger, plugins []string) *bus {
	manager := pluggable.NewManager(allEvents)
	manager.Load(plugins...).Register()
	for _, event := range allEvents {
		manager.Response(event, func(p *pluggable.Plugin, r *pluggable.EventResponse) {
			switch {
			case r.Errored():
				log.fatal(fmt.Sprintf("Plugin %s at %s had an error: %s", p.Name, p.Executable, r.Error))
			case r.State != "":
				log.success(fmt.Sprintf(":lollipop: Plugin %s at %s succeded, state reported:", p.Name, p.Executable))
				log.info(r.State)
			}
		})
	}
	if len(manager.Plugins) > 0 {
		log.info(":lollipop:Enabled plugins:")
		for _, p := range manager.Plugins {
			log.info(fmt.Sprintf("\t:arrow_right: %s (at %s)", p.Name, p.Executable))
		}
	}
	return &bus{manager}
}

// publish waits for the answers of all plugins. Like luet it ignores that a payload can't be written as JSON.
func (b *bus) publish(event pluggable.EventType, payload any) {
	_, _ = b.manager.Publish(event, payload)
}

// logger prints what luet prints where the output is no terminal.
type logger struct {
	mutex sync.Mutex
	out   io.Writer
	emoji bool
}

var emojiWord = regexp.MustCompile(`:\w+:`)

func (l *logger) print(prefix, text string) {
	if l.emoji {
		text = emoji.Sprint(text)
	} else {
		text = emojiWord.ReplaceAllString(text, "")
	}
	text = strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", len(prefix)))
	l.mutex.Lock()
	defer l.mutex.Unlock()
	fmt.Fprintln(l.out, prefix+text)
}

func (l *logger) info(text string)    { l.print(" INFO   ", text) }
func (l *logger) success(text string) { l.print(" INFO   SUCCESS ", text) }
func (l *logger) warn(text string)    { l.print(" WARNING   ", text) }
func (l *logger) error(text string)   { l.print("  ERROR    ", text) }

// fatal ends the process at once: no temporary folder is removed, other downloads die on the way.
func (l *logger) fatal(text string) {
	l.print("  ERROR    ", text)
	os.Exit(2)
}

// Package testing stands in for Go's own when programs are judged: it has what tests of functions use, and nothing that
// reads flags or writes files. A case runs in a goroutine of its own, so that FailNow can end it.
package testing

import (
	"fmt"
	"math"
	"os"
	"reflect"
	"runtime"
	"strings"
	"time"
)

// Outcome is what became of a case.
type Outcome struct {
	Status, Message, Kind string
	Line                  int
}

// T is handed to a test.
type T struct {
	name     string
	parent   *T
	failed   bool
	skipped  bool
	said     []string
	cleanups []func()
}

// TB is what T and B share.
type TB interface {
	Cleanup(func())
	Error(...any)
	Errorf(string, ...any)
	Fail()
	FailNow()
	Failed() bool
	Fatal(...any)
	Fatalf(string, ...any)
	Helper()
	Log(...any)
	Logf(string, ...any)
	Name() string
	Setenv(string, string)
	Skip(...any)
	SkipNow()
	Skipf(string, ...any)
	Skipped() bool
	TempDir() string
}

func (t *T) Name() string                      { return t.name }
func (t *T) Helper()                           {}
func (t *T) Parallel()                         {}
func (t *T) Failed() bool                      { return t.failed }
func (t *T) Skipped() bool                     { return t.skipped }
func (t *T) Cleanup(f func())                  { t.cleanups = append(t.cleanups, f) }
func (t *T) Deadline() (time.Time, bool)       { return time.Time{}, false }
func (t *T) Log(said ...any)                   {}
func (t *T) Logf(format string, said ...any)   {}
func (t *T) Error(said ...any)                 { t.say(fmt.Sprintln(said...)); t.Fail() }
func (t *T) Errorf(format string, said ...any) { t.say(fmt.Sprintf(format, said...)); t.Fail() }
func (t *T) Fatal(said ...any)                 { t.say(fmt.Sprintln(said...)); t.FailNow() }
func (t *T) Fatalf(format string, said ...any) { t.say(fmt.Sprintf(format, said...)); t.FailNow() }
func (t *T) Skip(said ...any)                  { t.SkipNow() }
func (t *T) Skipf(format string, said ...any)  { t.SkipNow() }
func (t *T) SkipNow()                          { t.skipped = true; runtime.Goexit() }
func (t *T) FailNow()                          { t.Fail(); runtime.Goexit() }

func (t *T) Setenv(key, value string) {
	before, there := os.LookupEnv(key)
	os.Setenv(key, value)
	t.Cleanup(func() {
		if there {
			os.Setenv(key, before)
		} else {
			os.Unsetenv(key)
		}
	})
}

func (t *T) TempDir() string {
	place, err := os.MkdirTemp("", "test")
	if err != nil {
		t.Fatal(err)
	}
	return place
}

func (t *T) Fail() {
	for place := t; place != nil; place = place.parent {
		place.failed = true
	}
}

func (t *T) say(text string) {
	text = strings.TrimSpace(text)
	for place := t; place.parent != nil; place = place.parent {
		text = place.name + ": " + text
	}
	top := t
	for top.parent != nil {
		top = top.parent
	}
	if len(top.said) < 20 {
		top.said = append(top.said, text)
	}
}

// Run runs a test inside a test; whether it passed.
func (t *T) Run(name string, f func(*T)) bool {
	inner := &T{name: name, parent: t}
	if broken := inner.run(f); broken != nil {
		panic(*broken)
	}
	return !inner.failed
}

func (t *T) run(f func(*T)) (broken *Outcome) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if value := recover(); value != nil {
				outcome := judged(value)
				broken = &outcome
			}
			for index := len(t.cleanups) - 1; index >= 0; index-- {
				t.cleanups[index]()
			}
		}()
		f(t)
	}()
	<-done
	return broken
}

// Judge runs one case.
func Judge(f func(*T)) Outcome {
	t := &T{}
	if broken := t.run(f); broken != nil {
		return *broken
	}
	if t.failed {
		message := strings.Join(t.said, "; ")
		if message == "" {
			message = "the test failed"
		}
		return Outcome{Status: "failed", Message: message, Kind: "AssertionError"}
	}
	return Outcome{Status: "passed"}
}

// judged says what a panic means: one that the tests themselves raised is a failure, any other an error.
func judged(value any) Outcome {
	if outcome, ok := value.(Outcome); ok {
		return outcome
	}
	places := make([]uintptr, 64)
	frames := runtime.CallersFrames(places[:runtime.Callers(3, places)])
	line, ours := 0, false
	for first := true; ; {
		frame, more := frames.Next()
		name := frame.File[strings.LastIndex(frame.File, "/")+1:]
		if name == "agd_candidate.go" && line == 0 {
			line = frame.Line
		}
		if first && strings.HasPrefix(name, "agd_") {
			ours, first = name == "agd_suite.go", false
		}
		if !more {
			break
		}
	}
	_, broken := value.(runtime.Error)
	if ours && !broken {
		return Outcome{Status: "failed", Message: fmt.Sprint(value), Kind: "AssertionError"}
	}
	return Outcome{Status: "error", Message: fmt.Sprint(value), Kind: "panic", Line: line}
}

// Equal fails unless the last two values are alike: deeply, and numbers by their value.
func Equal(t *T, given ...any) {
	if len(given) > 2 {
		if _, ok := given[0].(*T); ok {
			given = given[1:]
		}
	}
	if len(given) < 2 {
		t.Fatal("assertEqual takes two values")
	}
	if got, want := given[0], given[1]; !alike(got, want) {
		t.Fatalf("got %#v, want %#v", got, want)
	}
}

func alike(a, b any) bool {
	if reflect.DeepEqual(a, b) {
		return true
	}
	x, y := number(a), number(b)
	return !math.IsNaN(x) && x == y
}

func number(value any) float64 {
	place := reflect.ValueOf(value)
	switch {
	case !place.IsValid():
	case place.CanInt():
		return float64(place.Int())
	case place.CanUint():
		return float64(place.Uint())
	case place.CanFloat():
		return place.Float()
	}
	return math.NaN()
}

// B and M are there so that files with benchmarks compile; they are never run.
type B struct {
	T
	N int
}

func (b *B) Loop() bool                      { return false }
func (b *B) ResetTimer()                     {}
func (b *B) StartTimer()                     {}
func (b *B) StopTimer()                      {}
func (b *B) ReportAllocs()                   {}
func (b *B) Run(name string, f func(*B)) bool { return true }

type M struct{}

func (m *M) Run() int { return 0 }

func Short() bool   { return false }
func Verbose() bool { return false }

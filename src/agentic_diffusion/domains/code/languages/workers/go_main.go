// The program that runs one candidate of those that are linked into it. It reads a word from descriptor 0 before any of
// the candidate's code runs, and begins every line that it writes to descriptor 5 with it.
package agd

import (
	"os"
	"runtime/debug"
	"strconv"
	"testing"
	"time"
)

var word = first()

func first() string {
	text := make([]byte, 128)
	count, _ := os.Stdin.Read(text)
	return string(text[:count])
}

const (
	lines  = 20000
	passes = 100000
)

var (
	hits [lines]bool
	left = passes
)

// Hit notes that a counted candidate (testing/counters.py) passed a line; so many passes a case may have.
func Hit(line int) {
	left--
	if left < 0 {
		panic("too many steps")
	}
	if line > 0 && line < lines {
		hits[line] = true
	}
}

func reset() {
	hits, left = [lines]bool{}, passes
}

func told() string {
	text := ""
	for line, hit := range hits {
		if hit {
			text += " " + strconv.Itoa(line)
		}
	}
	return text
}

// Run runs the cases from the number in the second argument on.
func Run(cases []func(*testing.T)) {
	out := os.NewFile(5, "reports")
	secret := word
	debug.SetMaxStack(16 << 20) // a trace of an overflow walks over all of it
	start, _ := strconv.Atoi(os.Args[2])
	for number := start; number < len(cases); number++ {
		out.WriteString(secret + " begin " + strconv.Itoa(number) + "\n")
		reset()
		began := time.Now()
		found := testing.Judge(cases[number])
		seconds := strconv.FormatFloat(time.Since(began).Seconds(), 'f', 6, 64)
		if len(found.Message) > 500 {
			found.Message = found.Message[:500]
		}
		out.WriteString(secret + " end " + strconv.Itoa(number) + " " + found.Status + " " + strconv.Itoa(found.Line) + " " +
			seconds + " " + strconv.QuoteToASCII(found.Kind) + " " + strconv.QuoteToASCII(found.Message) + "\n")
		if passed := told(); passed != "" {
			out.WriteString(secret + " lines " + strconv.Itoa(number) + passed + "\n")
		}
	}
	out.WriteString(secret + " all\n")
	os.Exit(0)
}

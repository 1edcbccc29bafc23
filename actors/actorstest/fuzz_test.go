package actorstest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/dispatch"
)

// scripted are the functions of fuzzed scripts: f:now takes anything, f:later
// runs it in an hour, f:fail fails.
func scripted() *dispatch.Registry {
	reg := dispatch.NewRegistry()
	now := dispatch.Mutation[any, any]("f:now")
	now.Handle(reg, func(_ *dispatch.MutationCtx, arg any) (any, error) { return arg, nil })
	dispatch.Mutation[any, any]("f:later").Handle(reg, func(ctx *dispatch.MutationCtx, arg any) (any, error) {
		return ctx.Scheduler.RunAfter(time.Hour, now.With(arg), dispatch.AsCaller())
	})
	dispatch.Action[any, any]("f:fail").Handle(reg, func(*dispatch.ActionCtx, any) (any, error) {
		return nil, dispatch.Errorf(dispatch.CodeAborted, "as asked")
	})
	return reg
}

// played is what a script becomes when it is played on an engine of its own.
func played(t *testing.T, text string) (out string) {
	t.Helper()
	Run(t, actors.Options{Functions: scripted(), ClockCheck: time.Hour}, func(h *Harness) {
		s := newScript(h)
		s.left = maxSpan
		if strings.Contains(text, "cron") {
			s.left = 10 * time.Minute // in which many triggers may tick every second
		}
		out = s.play(text)
	})
	return out
}

// FuzzScript: whatever the text, playing it neither panics nor hangs nor fails
// the test: what is wrong with it is printed. What was printed once is printed
// again, so that a script can be rewritten and then passes.
func FuzzScript(f *testing.F) {
	files, err := filepath.Glob("../../testdata/scripts/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatal("no scripts to begin with", err)
	}
	for _, file := range append(files, "testdata/harness.txt") {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	for _, text := range []string{
		"", " \n\t", "----\nx\n\n----", "x\r\n----\r\n", strings.Repeat("crash\n", 3),
		// What is not a command, one to a line.
		"#\ncall\nas\nas x\nas x call\ncall a f:now\ncall a/b f:now\njobs\njobs a/b\njobs a nosuch\njob\njob a/b c\ncancel a\ndead\nretry a b\ndrop a/b c\napps x",
		"schedule\nschedule a +1h f:now\nschedule a/b 0s f:now\nschedule a 0s nosuch=1 f:now\ncron a t\ncron a/b t UTC f:now * * * * *\ncrons a/b\nslots a t",
		"crash-at\ncrash-at commit 0 call a f:now\ncrash-at nosuch -1 restart\ncrash-at commit 1 crash\ncrash-at commit 1 crash-at commit 1 call a f:now\ncrash-at commit 1",
		"limits\nlimits 0 -1\nlimits x\nlimits 1 1\ncall " + strings.Repeat("a", 100) + " f:now\nas \xff call a f:now\ncall a f:now \"\xff\\n\"\ncall a f:now {\r",
		// Time.
		"at\nat +1h\nat +1s\nadvance -1h\nadvance 99999h\nadvance 2562047h\nadvance 2562047h",
		"clock 2562047h\nclock 2562047h\ncall a f:later\njobs a\nschedule a 2562047h f:now\njobs a", "clock -1562047h\ncall a f:later\njobs a",
		"date 9999-12-31T23:59:59Z\ncall a f:later\njobs a", "date 0001-01-01T00:00:00Z\ncall a f:later\njobs a\ndrain",
		// Stories.
		"cron a t UTC f:now * * * * * *\nadvance 99999h\nadvance 3m\nslots a t", "cron a t UTC f:now @every 1s\nadvance 5000h\nslots a t",
		"cron a t UTC overlap=x catch-up=y paused f:now @hourly\ncron a t UTC overlap=replace catch-up=all f:now @hourly\nrecron a t UTC f:now @daily\ncrons a",
		"cron a t UTC f:now @hourly\npause a t x\xff y\npause a t x\nresume a t\nrun-now a t\ndelete a t\ncrons a",
		"call a f:later [job1]\njobs a\njob a job1\ncancel a job1\ncall a f:now \"job1\"\n----\n\n\njob a job1", "call a f:fail\njobs a\ncrash\nrestart\njobs a",
		"as ada call a f:later\ncrash\nadvance 1h\njobs a success", "schedule a -1h id=x once timeout=1s attempts=3 base=1s max=1s linear f:fail 1\njob a x",
		"schedule a 1h id=x f:now\nschedule a 0s id=x f:now\ncrash-at commit 1 call a f:later\njobs a\ncrash-at committed 2 drain",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Count(text, "\n") > 100 || len(text) > 1<<12 {
			t.Skip("long scripts are no other than short ones, and slow")
		}
		once := played(t, text)
		if strings.Contains(text, "crash-at") {
			return // what a caller is told at the moment of a crash is a matter of chance
		}
		if again := played(t, once); again != once {
			t.Errorf("%q\nprints\n%q\nand that\n%q", text, once, again)
		}
	})
}

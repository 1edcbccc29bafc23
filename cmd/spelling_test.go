package cmd

import (
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestCanceledHasOneSpelling: a code, a state, a field, a text and a document that
// have the word have it as Connect's code does, with one l.
func TestCanceledHasOneSpelling(t *testing.T) {
	const other = "cancel" + "led"
	found := 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			if entry != nil && (entry.Name() == ".git" || entry.Name() == "node_modules") {
				return fs.SkipDir
			}
			return err
		}
		var texts []string
		switch filepath.Ext(path) {
		case ".md", ".txt":
			if entry.Name() == "CHANGELOG.md" {
				return nil // it says what was
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			texts = []string{string(data)}
		case ".go":
			src, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if !strings.HasSuffix(path, "_test.go") {
				texts = namesAndStrings(src)
			}
		}
		if filepath.Base(filepath.Dir(path)) == "lunora" {
			texts = nil // a field of another system's wire format
		}
		for _, text := range texts {
			found += strings.Count(text, "canceled")
			if strings.Contains(strings.ToLower(text), other) {
				t.Errorf("%s has %q", path, other)
			}
		}
		return nil
	})
	if err != nil || found < 50 {
		t.Errorf("read %d times the word, %v", found, err)
	}
}

// namesAndStrings are the identifiers and literals of a Go file.
func namesAndStrings(src []byte) (texts []string) {
	var s scanner.Scanner
	fset := token.NewFileSet()
	s.Init(fset.AddFile("", fset.Base(), len(src)), src, nil, 0)
	for {
		switch _, tok, text := s.Scan(); tok {
		case token.EOF:
			return texts
		case token.IDENT, token.STRING:
			texts = append(texts, text)
		}
	}
}

// unwanted are words of comments that hide who does what: an indefinite person, or
// a passive that leaves open who acts. Each has a plainer sentence.
var unwanted = regexp.MustCompile(`(?i)\b(whoever|nobody|somebody|anybody|everybody|him|his|someone|anyone|everyone|(is|are)( not)? to be|cancell(ed|ing))\b`)

// TestCommentsSayWhoDoesWhat reads the comments of production code, and the pages.
func TestCommentsSayWhoDoesWhat(t *testing.T) {
	comments := 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == ".git" || entry.Name() == "node_modules"):
			return fs.SkipDir
		case entry.IsDir() || strings.HasSuffix(path, "_test.go") || entry.Name() == "CHANGELOG.md":
			return nil
		}
		var texts []string
		switch filepath.Ext(path) {
		case ".go":
			src, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			texts = commentsOf(src)
		case ".md", ".proto":
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			texts = strings.Split(string(text), "\n")
		}
		comments += len(texts)
		for _, text := range texts {
			if word := unwanted.FindString(text); word != "" {
				t.Errorf("%s: %q in %s", strings.TrimPrefix(path, root+"/"), word, strings.TrimSpace(text))
			}
		}
		return nil
	})
	if err != nil || comments < 5000 {
		t.Errorf("read %d comments, %v", comments, err)
	}
}

// commentsOf are the comments of a Go file, line by line.
func commentsOf(src []byte) (texts []string) {
	var s scanner.Scanner
	fset := token.NewFileSet()
	s.Init(fset.AddFile("", fset.Base(), len(src)), src, nil, scanner.ScanComments)
	for {
		switch _, tok, text := s.Scan(); tok {
		case token.EOF:
			return texts
		case token.COMMENT:
			texts = append(texts, strings.Split(text, "\n")...)
		}
	}
}

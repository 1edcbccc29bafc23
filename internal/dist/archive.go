package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// archive writes all files below the directory to out. Their order is that of their names, their
// dates are all the same, and of their modes only whether they can be run is kept: that is all that
// two machines agree on.
func archive(out, dir string, at time.Time) (err error) {
	if !strings.HasSuffix(out, ".zip") && !strings.HasSuffix(out, ".tar.gz") {
		return fmt.Errorf("%s is neither .tar.gz nor .zip", out)
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if strings.HasSuffix(out, ".zip") {
		w := zip.NewWriter(f)
		return errors.Join(walk(dir, func(name string, mode fs.FileMode, _ int64, content io.Reader) error {
			h := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: at}
			h.SetMode(mode)
			to, err := w.CreateHeader(h)
			if err != nil {
				return err
			}
			_, err = io.Copy(to, content)
			return err
		}), w.Close())
	}
	z, err := gzip.NewWriterLevel(f, gzip.BestCompression)
	if err != nil {
		return err
	}
	w := tar.NewWriter(z)
	return errors.Join(walk(dir, func(name string, mode fs.FileMode, size int64, content io.Reader) error {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: int64(mode), Size: size, ModTime: at, Format: tar.FormatUSTAR}); err != nil {
			return err
		}
		_, err := io.Copy(w, content)
		return err
	}), w.Close(), z.Close())
}

// walk calls add for each file below the directory, in the order of their names, which begin with that
// of the directory.
func walk(dir string, add func(name string, mode fs.FileMode, size int64, content io.Reader) error) error {
	base := filepath.Base(dir)
	return filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is no file", file)
		}
		mode := fs.FileMode(0o644)
		if info.Mode()&0o100 != 0 {
			mode = 0o755
		}
		inside, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		return add(path.Join(base, filepath.ToSlash(inside)), mode, info.Size(), f)
	})
}

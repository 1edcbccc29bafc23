package api

// System is what a server runs on and with, for those who look after the machine. No secret is in it, and no
// path of a file.
type System struct {
	Version  string         `json:"version"` // of the program
	Go       string         `json:"go"`
	Platform string         `json:"platform"` // such as "linux/amd64"
	Health   HealthStatus   `json:"health"`
	Problems []string       `json:"problems"` // what is wrong, or needs a person, in words
	Log      SystemLog      `json:"log"`
	Volumes  []SystemVolume `json:"volumes"`
	Settings []Setting      `json:"settings"` // the configuration in force
}

// SystemLog is the log of all volumes.
type SystemLog struct {
	Bytes int64   `json:"bytes"` // now, what is kept for backups included
	Syncs int64   `json:"syncs"` // since the start
	Sync  Latency `json:"sync"`  // of those
}

// SystemVolume is a file of the store. While it is not served, all numbers but the last two are 0.
type SystemVolume struct {
	Name      string `json:"name"`
	Served    bool   `json:"served"`
	Fault     string `json:"fault,omitempty"` // why it is not
	Epoch     uint64 `json:"epoch"`           // how often the file has had an owner
	Bytes     int64  `json:"bytes"`           // of the file, as it was when it was last brought up to date
	FreeBytes int64  `json:"freeBytes"`       // of those: pages that are used again before the file grows
	Uncopied  uint64 `json:"uncopied"`        // records of the log that the file does not have yet
	Commits   int64  `json:"commits"`         // since the start
	Written   int64  `json:"writtenBytes"`    // of the file, since the start
}

// Setting is an option of the engine or the server that is a number, a time, a truth or a list of names.
type Setting struct {
	Of    string `json:"of"`    // "engine" or "server"
	Name  string `json:"name"`  // of the option, such as "Concurrency"
	Value string `json:"value"` // such as "1024", "168h0m0s" or "https://app.example.com"
}

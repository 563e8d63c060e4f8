package access

// A Usage is what is in the diagnostic directory.
type Usage struct {
	Files        int         `json:"files"`
	Bytes        int64       `json:"bytes"`
	Kinds        []KindUsage `json:"kinds"`
	Largest      []File      `json:"largest"` // finished files, the largest first
	FreeBytes    int64       `json:"freeBytes"`
	ReserveBytes int64       `json:"reserveBytes"` // of the disk that must stay free
	QuotaBytes   int64       `json:"quotaBytes"`   // for everything in the directory; 0: none
}

// A KindUsage is the space of files of one kind.
type KindUsage struct {
	Kind  string `json:"kind"` // captures, captures being written, reports, other
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"`
}

package access

// A Usage is what is in the diagnostic directory.
type Usage struct {
	Files        int         `json:"files"`
	Bytes        int64       `json:"bytes"`
	Kinds        []KindUsage `json:"kinds"`
	Largest      []File      `json:"largest"` // finished files, the largest first
	FreeBytes    int64       `json:"freeBytes"`
	ReserveBytes int64       `json:"reserveBytes"` // of the disk stay free
	QuotaBytes   int64       `json:"quotaBytes"`   // of everything in the directory; 0: none
}

// A KindUsage is what files of one kind take.
type KindUsage struct {
	Kind  string `json:"kind"` // captures, captures being written, reports, other
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"`
}

package access

// A DiskUse is what is in the diagnostic directory.
type DiskUse struct {
	Files        int             `json:"files"`
	Bytes        int64           `json:"bytes"`
	Kinds        []DiskUseOfKind `json:"types"`
	Largest      []File          `json:"largest"` // finished files, the largest first
	FreeBytes    int64           `json:"freeBytes"`
	ReserveBytes int64           `json:"reserveBytes"` // of the disk that must stay free
	QuotaBytes   int64           `json:"quotaBytes"`   // for everything in the directory; 0: none
}

// A DiskUseOfKind is the space of files of one kind.
type DiskUseOfKind struct {
	Kind  string `json:"type"` // captures, captures being written, reports, other
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"`
}

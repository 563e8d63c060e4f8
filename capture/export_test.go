package capture

// ShowViews is what a job does with the packets that it has written.
func ShowViews(j *Job, batch []Packet) { j.views.show(batch) }

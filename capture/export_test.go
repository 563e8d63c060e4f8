package capture

// ShowViews offers packets to the views of a job, as the job does after it has written them.
func ShowViews(j *Job, batch []Packet) { j.views.show(batch) }

package ports

// A Selection says which records are wanted. Within a member one of its values must match, and all
// members that are given must. Gap, Began and Ended are always wanted.
type Selection struct {
	Processes []string `json:"processes" arg:",bound" alias:"process" help:"Only these processes: names, or numbers, separated by commas."`
	Users     []string `json:"users" arg:",bound" alias:"user" help:"Only processes of these users: names, or numbers."`
	Ports     []string `json:"ports" arg:",bound" alias:"port" help:"Only these ports, at either end: numbers, or ranges such as 8000-8080."`
	Addresses []string `json:"addresses" arg:",bound" alias:"address" help:"Only these addresses, at either end, or networks such as 192.0.2.0/24."`
	Events    []string `json:"events" arg:",bound" alias:"event" choices:"open|bind|listen|connect|accept|use|flow|close|refused|timeout|aborted|failed|rejected|held" help:"Only these events."`
}

package drops

import "strings"

// isNoise reports whether any machine drops such packets all the time, and nobody misses them:
// packets that are for other machines, that a socket did not ask for, that came twice, or that were
// still in the queue of a socket that was closed.
func isNoise(w Where) bool {
	at := func(places ...string) bool {
		for _, p := range places {
			if w.Place == p {
				return true
			}
		}
		return false
	}
	switch {
	case w.EtherType == 0:
		return true
	case at("skb_release_data"): // the parts of a packet, which is told itself if it was dropped
		return true
	case w.Reason == "OTHERHOST": // the interface takes them for a capture
		return true
	case w.Reason == "PACKET_SOCK_ERROR": // the ring of a capture was full, which it says itself
		return w.Place == "" || at("packet_rcv", "packet_rcv_spkt", "tpacket_rcv")
	case w.Reason == "SOCKET_FILTER":
		return at("raw_rcv", "raw_rcv_skb", "rawv6_rcv", "rawv6_rcv_skb")
	case w.Reason == "QUEUE_PURGE", strings.HasPrefix(w.Reason, "TCP_OLD_"):
		return true
	case w.Reason == "NO_SOCKET":
		return at("ping_rcv")
	case w.Reason == "NOT_SPECIFIED":
		return strings.Contains(w.Place, "_destruct") || strings.HasSuffix(w.Place, "_destroy_sock") ||
			strings.Contains(w.Place, "queue_purge")
	}
	return false
}

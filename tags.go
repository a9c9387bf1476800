package daruma

import "maps"

// Tagged returns tags with those that are set, and without those that are
// dropped. It never returns nil, and changes none of what it is given.
func Tagged(tags, set map[string]string, drop []string) map[string]string {
	all := make(map[string]string, len(tags)+len(set))
	maps.Copy(all, tags)
	maps.Copy(all, set)
	for _, name := range drop {
		delete(all, name)
	}
	return all
}

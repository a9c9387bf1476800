package lambda

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/wire"
)

// layerItem is LayerVersionsListItem of the service model.
type layerItem struct {
	LayerVersionArn    string
	Version            int
	Description        string
	CreatedDate        string
	CompatibleRuntimes []string `json:",omitempty"`
}

func layerItemOf(l *catalog.Layer) layerItem {
	return layerItem{LayerVersionArn: l.ARN, Version: l.Version, CreatedDate: timeText(l.Created), CompatibleRuntimes: l.Runtimes}
}

// layerARN is a layer's ARN without its version.
func layerARN(l *catalog.Layer) string { return strings.TrimSuffix(l.ARN, ":"+strconv.Itoa(l.Version)) }

// matching returns the layer versions that a request's filters let through,
// sorted as the view has them. A layer that names no architecture is not
// compatible with any one in particular, and none here names one.
func (c *call) matching(keep func(*catalog.Layer) bool) []*catalog.Layer {
	runtime, arch := c.query.Get("CompatibleRuntime"), c.query.Get("CompatibleArchitecture")
	var out []*catalog.Layer
	for _, l := range c.view.Layers() {
		if keep(l) && arch == "" && (runtime == "" || slices.Contains(l.Runtimes, runtime)) {
			out = append(out, l)
		}
	}
	return out
}

// layerFilters checks the filters that both lists of layers take.
func (c *call) layerFilters() *wire.Error {
	var v violations
	v.oneOf(c.query.Get("CompatibleArchitecture"), "compatibleArchitecture", "x86_64", "arm64")
	return v.error()
}

// listLayers answers ListLayers: each layer with its newest version that matches.
func (d *Door) listLayers(c *call) (any, *wire.Error) {
	if err := c.layerFilters(); err != nil {
		return nil, err
	}
	var newest []*catalog.Layer
	for _, l := range c.matching(func(*catalog.Layer) bool { return true }) {
		if n := len(newest); n > 0 && newest[n-1].Name == l.Name {
			newest[n-1] = l
		} else {
			newest = append(newest, l)
		}
	}
	some, next, err := page(c, newest, 50, func(l *catalog.Layer) string { return l.Name })
	if err != nil {
		return nil, err
	}
	type item struct {
		LayerName, LayerArn   string
		LatestMatchingVersion layerItem
	}
	answer := struct {
		NextMarker *string
		Layers     []item
	}{NextMarker: optional(next), Layers: make([]item, 0, len(some))}
	for _, l := range some {
		answer.Layers = append(answer.Layers, item{l.Name, layerARN(l), layerItemOf(l)})
	}
	return answer, nil
}

// listLayerVersions answers ListLayerVersions, newest first.
func (d *Door) listLayerVersions(c *call) (any, *wire.Error) {
	name, err := c.layer()
	if err != nil {
		return nil, err
	}
	if err := c.layerFilters(); err != nil {
		return nil, err
	}
	all := c.matching(func(l *catalog.Layer) bool { return l.Name == name })
	slices.Reverse(all)
	some, next, err := page(c, all, 50, func(l *catalog.Layer) string { return fmt.Sprintf("%020d", maxVersion-l.Version) })
	if err != nil {
		return nil, err
	}
	answer := struct {
		NextMarker    *string
		LayerVersions []layerItem
	}{NextMarker: optional(next), LayerVersions: make([]layerItem, 0, len(some))}
	for _, l := range some {
		answer.LayerVersions = append(answer.LayerVersions, layerItemOf(l))
	}
	return answer, nil
}

// maxVersion is above every layer version; it turns their order around.
const maxVersion = 1 << 40

// layer reads the request's layer name, which may be an ARN.
func (c *call) layer() (string, *wire.Error) {
	var v violations
	v.check(&layerName, c.args[0], "layerName")
	if err := v.error(); err != nil {
		return "", err
	}
	return layerName.match.FindStringSubmatch(c.args[0])[1], nil
}

// getLayerVersion answers GetLayerVersion.
func (d *Door) getLayerVersion(c *call) (any, *wire.Error) {
	name, err := c.layer()
	if err != nil {
		return nil, err
	}
	version, bad := strconv.Atoi(c.args[1])
	if bad != nil {
		return nil, invalidParameter("Version number must be a number.")
	}
	return c.layerVersion(func(l *catalog.Layer) bool { return l.Name == name && l.Version == version })
}

// getLayerVersionByARN answers GetLayerVersionByArn.
func (d *Door) getLayerVersionByARN(c *call) (any, *wire.Error) {
	arn := c.query.Get("Arn")
	var v violations
	v.check(&layerVersion, arn, "arn")
	if err := v.error(); err != nil {
		return nil, err
	}
	return c.layerVersion(func(l *catalog.Layer) bool { return l.ARN == arn })
}

// layerVersion describes the one version that is meant. Content has no
// Location: the layer lies in a directory of this machine.
func (c *call) layerVersion(is func(*catalog.Layer) bool) (any, *wire.Error) {
	for _, l := range c.view.Layers() {
		if !is(l) {
			continue
		}
		var answer struct {
			Content struct {
				CodeSha256 string
				CodeSize   int64
			}
			LayerArn string
			layerItem
		}
		answer.Content.CodeSha256, answer.Content.CodeSize = l.Code.SHA256, l.Code.Bytes
		answer.LayerArn, answer.layerItem = layerARN(l), layerItemOf(l)
		return answer, nil
	}
	return nil, notFound("The resource you requested does not exist.")
}

package template

import (
	"fmt"
	"strings"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/template/tree"
)

// vpc reads VpcConfig: what is kept of it, nil when the function is in no VPC.
// Without subnets and security groups it is in none (API reference, "VpcConfig").
func (l *loader) vpc(f *catalog.Function, p *properties) *catalog.VPC {
	c := p.sub("VpcConfig")
	if c == nil {
		return nil
	}
	who := f.LogicalID + " (VpcConfig)"
	v := &catalog.VPC{Subnets: l.networkIDs(c, "SubnetIds", "subnet-", catalog.SubnetsMax, who), SecurityGroups: l.networkIDs(c, "SecurityGroupIds", "sg-", catalog.SecurityGroupsMax, who), IPv6: c.boolean("Ipv6AllowedForDualStack")}
	c.done()
	switch {
	case len(v.Subnets) == 0 && len(v.SecurityGroups) == 0:
		return nil
	case len(v.Subnets) == 0 || len(v.SecurityGroups) == 0:
		p.fault("VpcConfig", p.at("VpcConfig"), "VpcConfig needs both SubnetIds and SecurityGroupIds, or neither", "")
	}
	l.unkeep(network, p.at("VpcConfig"))
	return v
}

// networkIDs reads a list of IDs that begin alike. One that rests on something
// that is not there is what stands in its place, and that is told.
func (l *loader) networkIDs(p *properties, name, prefix string, most int, who string) []string {
	v := p.value(name)
	if v == nil {
		return nil
	}
	items := v.Items
	switch {
	case v.IsScalar() && len(v.Refs) > 0: // a list whose items nobody knows
		items = []*tree.Node{v}
	case v.Kind != tree.List:
		p.list(name) // tells what is wrong
		return nil
	}
	var ids []string
	for _, item := range items {
		switch {
		case item.Kind == tree.Broken:
			continue
		case !item.IsScalar():
			p.fault(name, item.Pos, "property '"+p.full(name)+"' must be a list of strings; this is "+item.Kind.String(), "")
			continue
		case len(item.Refs) == 0 && !strings.HasPrefix(item.Text, prefix):
			p.fault(name, item.Pos, fmt.Sprintf("property '%s' has IDs that begin with %s, not %q", p.full(name), prefix, item.Text), "")
		}
		l.tell(item, who)
		ids = append(ids, item.Text)
	}
	if len(ids) > most {
		p.fault(name, v.Pos, fmt.Sprintf("property '%s' has %d IDs; at most %d are allowed", p.full(name), len(ids), most), "")
	}
	return ids
}

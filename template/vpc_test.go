package template

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma/catalog"
)

func TestAFunctionsVPCIsKeptAndSaidNotToBeOne(t *testing.T) {
	app := loads(t, sam+`Parameters:
  Groups: { Type: "List<AWS::EC2::SecurityGroup::Id>", Default: "sg-1, sg-2" }
Mappings: { Net: { us-east-1: { subnets: [subnet-m] } } }
Globals: { Function: { VpcConfig: { SecurityGroupIds: !Ref Groups, SubnetIds: [subnet-g] } } }
`+function("F", "VpcConfig: { SubnetIds: [subnet-f], Ipv6AllowedForDualStack: true }")+resourceFunction("G", "VpcConfig: { SubnetIds: !FindInMap [Net, !Ref AWS::Region, subnets] }")+resourceFunction("H", "VpcConfig: !Ref AWS::NoValue")+`  R:
    Type: AWS::Lambda::Function
    Properties: { Code: { ZipFile: x }, Handler: index.handler, Runtime: python3.12, Role: r, VpcConfig: { SubnetIds: [subnet-r], SecurityGroupIds: [sg-r] } }
  Out: { Type: AWS::Lambda::Function, Properties: { Code: { ZipFile: x }, Handler: index.handler, Runtime: python3.12, Role: r, VpcConfig: { SubnetIds: [], SecurityGroupIds: [] } } }
`)
	got := map[string]*catalog.VPC{}
	for _, f := range app.Functions {
		got[f.Name] = f.VPC
	}
	both := []string{"sg-1", "sg-2"}
	if diff := cmp.Diff(map[string]*catalog.VPC{
		"F": {Subnets: []string{"subnet-g", "subnet-f"}, SecurityGroups: both, IPv6: true}, "G": {Subnets: []string{"subnet-m"}, SecurityGroups: both},
		"H": nil, "R": {Subnets: []string{"subnet-r"}, SecurityGroups: []string{"sg-r"}}, "Out": nil,
	}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(app.Warnings) != 1 || !strings.Contains(app.Warnings.Error(), "keep nothing out or in, and the internet is reached without a NAT gateway: F, G, ") {
		t.Errorf("got %v, want one warning that names all", app.Warnings)
	}
	if len(app.Unsupported) != 0 {
		t.Errorf("got %v", app.Unsupported)
	}
}

func TestAnIDOfWhatIsNotHereStandsInAndIsTold(t *testing.T) {
	app := loads(t, sam+function("F", "VpcConfig: { SubnetIds: [!Ref Subnet, !ImportValue shared], SecurityGroupIds: [!GetAtt Group.GroupId] }")+`  Subnet: { Type: AWS::EC2::Subnet, Properties: { VpcId: vpc-1 } }
  Group: { Type: AWS::EC2::SecurityGroup, Properties: { VpcId: vpc-1 } }
`)
	if got := app.Functions[0].VPC; len(got.Subnets) != 2 || got.Subnets[1] != "shared" || !strings.HasSuffix(got.Subnets[0], "-NOTAVAILABLE") || len(got.SecurityGroups) != 1 {
		t.Errorf("got %+v", got)
	}
	said := app.Unsupported.Error()
	for _, want := range []string{"AWS::EC2::Subnet is not supported; without it: the network; told of it: F (VpcConfig)", "AWS::EC2::SecurityGroup is not supported; without it: the network's rules; told of it: F (VpcConfig)", "Fn::ImportValue is not supported"} {
		if !strings.Contains(said, want) {
			t.Errorf("got %s, want %q", said, want)
		}
	}
	if len(app.Unsupported) != 3 {
		t.Errorf("got %d: %v", len(app.Unsupported), app.Unsupported)
	}
	kept := loads(t, sam+"Parameters: { P: { Type: 'AWS::SSM::Parameter::Value<List<AWS::EC2::Subnet::Id>>', Default: /subnets } }\n"+function("F", "VpcConfig: { SubnetIds: !Ref P, SecurityGroupIds: [sg-1] }"))
	if got := kept.Functions[0].VPC; !slices.Equal(got.Subnets, []string{"/subnets"}) || len(kept.Unsupported) != 1 {
		t.Errorf("got %+v and %v", got, kept.Unsupported)
	}
}

func TestAWrongVPCIsRefused(t *testing.T) {
	with := func(vpc string) string { return sam + function("F", "VpcConfig: "+vpc) }
	wrong(t, []line{
		{"no map", with("subnet-1"), "property 'VpcConfig' must be a map"},
		{"unknown", with("{ SubnetIds: [subnet-1], SecurityGroupIds: [sg-1], VpcId: vpc-1 }"), "property 'VpcConfig.VpcId' is not defined"},
		{"no list", with("{ SubnetIds: subnet-1, SecurityGroupIds: [sg-1] }"), "property 'VpcConfig.SubnetIds' must be a list"},
		{"a map for an ID", with("{ SubnetIds: [{ a: b }], SecurityGroupIds: [sg-1] }"), "must be a list of strings; this is a map"},
		{"exchanged", with("{ SubnetIds: [sg-1], SecurityGroupIds: [subnet-1] }"), `property 'VpcConfig.SubnetIds' has IDs that begin with subnet-, not "sg-1"`},
		{"half", with("{ SubnetIds: [subnet-1] }"), "VpcConfig needs both SubnetIds and SecurityGroupIds, or neither"},
		{"too many", with("{ SubnetIds: [subnet-1], SecurityGroupIds: [sg-1, sg-2, sg-3, sg-4, sg-5, sg-6] }"), "property 'VpcConfig.SecurityGroupIds' has 6 IDs; at most 5 are allowed"},
	})
}

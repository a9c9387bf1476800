package lambda

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/daruma-io/daruma/door/wire"
)

// A route leads from a method and a path to an operation of the Lambda API.
type route struct {
	op       string
	method   string
	path     string // "{}" stands for one label
	query    string // "key=value" that must be in the query, or ""
	serve    func(*Door, *call) (any, *wire.Error)
	mappings bool // it is about event source mappings
	stream   func(d *Door, w http.ResponseWriter, r *wire.Request, name string)

	segments []string
}

// routes is the table of the whole API (the Lambda service model). What has
// nothing to serve it is refused by name. Routes with a query come before those
// that are the same without.
func routes() []route {
	table := []route{
		{op: "Invoke", method: "POST", path: "/2015-03-31/functions/{}/invocations", stream: (*Door).invoke},
		{op: "InvokeWithResponseStream", method: "POST", path: "/2021-11-15/functions/{}/response-streaming-invocations", stream: (*Door).invokeStream},
		{op: "InvokeAsync", method: "POST", path: "/2014-11-13/functions/{}/invoke-async", stream: (*Door).invokeAsync},

		{op: "ListFunctions", method: "GET", path: "/2015-03-31/functions", serve: (*Door).listFunctions},
		{op: "GetFunction", method: "GET", path: "/2015-03-31/functions/{}", serve: (*Door).getFunction},
		{op: "GetFunctionConfiguration", method: "GET", path: "/2015-03-31/functions/{}/configuration", serve: (*Door).getFunctionConfiguration},
		{op: "ListVersionsByFunction", method: "GET", path: "/2015-03-31/functions/{}/versions", serve: (*Door).listVersions},
		{op: "ListAliases", method: "GET", path: "/2015-03-31/functions/{}/aliases", serve: (*Door).listAliases},
		{op: "GetAlias", method: "GET", path: "/2015-03-31/functions/{}/aliases/{}", serve: (*Door).getAlias},
		{op: "GetPolicy", method: "GET", path: "/2015-03-31/functions/{}/policy", serve: (*Door).getPolicy},
		{op: "GetFunctionConcurrency", method: "GET", path: "/2019-09-30/functions/{}/concurrency", serve: (*Door).getConcurrency},
		{op: "PutFunctionConcurrency", method: "PUT", path: "/2017-10-31/functions/{}/concurrency", serve: (*Door).putConcurrency},
		{op: "DeleteFunctionConcurrency", method: "DELETE", path: "/2017-10-31/functions/{}/concurrency", serve: (*Door).deleteConcurrency},
		{op: "PutFunctionEventInvokeConfig", method: "PUT", path: "/2019-09-25/functions/{}/event-invoke-config", serve: (*Door).putEventInvoke},
		{op: "UpdateFunctionEventInvokeConfig", method: "POST", path: "/2019-09-25/functions/{}/event-invoke-config", serve: (*Door).updateEventInvoke},
		{op: "GetFunctionEventInvokeConfig", method: "GET", path: "/2019-09-25/functions/{}/event-invoke-config", serve: (*Door).getEventInvoke},
		{op: "DeleteFunctionEventInvokeConfig", method: "DELETE", path: "/2019-09-25/functions/{}/event-invoke-config", serve: (*Door).deleteEventInvoke},
		{op: "ListFunctionEventInvokeConfigs", method: "GET", path: "/2019-09-25/functions/{}/event-invoke-config/list", serve: (*Door).listEventInvoke},
		{op: "GetFunctionRecursionConfig", method: "GET", path: "/2024-08-31/functions/{}/recursion-config", serve: (*Door).getRecursion},
		{op: "PutFunctionRecursionConfig", method: "PUT", path: "/2024-08-31/functions/{}/recursion-config", serve: (*Door).putRecursion},
		{op: "GetLayerVersionByArn", method: "GET", path: "/2018-10-31/layers", query: "find=LayerVersion", serve: (*Door).getLayerVersionByARN},
		{op: "ListLayers", method: "GET", path: "/2018-10-31/layers", serve: (*Door).listLayers},
		{op: "ListLayerVersions", method: "GET", path: "/2018-10-31/layers/{}/versions", serve: (*Door).listLayerVersions},
		{op: "GetLayerVersion", method: "GET", path: "/2018-10-31/layers/{}/versions/{}", serve: (*Door).getLayerVersion},
		{op: "GetFunctionUrlConfig", method: "GET", path: "/2021-10-31/functions/{}/url", serve: (*Door).getURL},
		{op: "ListFunctionUrlConfigs", method: "GET", path: "/2021-10-31/functions/{}/urls", serve: (*Door).listURLs},
		{op: "ListTags", method: "GET", path: "/2017-03-31/tags/{}", serve: (*Door).listTags},
		{op: "GetAccountSettings", method: "GET", path: "/2016-08-19/account-settings", serve: (*Door).accountSettings},

		{op: "AddLayerVersionPermission", method: "POST", path: "/2018-10-31/layers/{}/versions/{}/policy"},
		{op: "AddPermission", method: "POST", path: "/2015-03-31/functions/{}/policy"},
		{op: "CheckpointDurableExecution", method: "POST", path: "/2025-12-01/durable-executions/{}/checkpoint"},
		{op: "CreateAlias", method: "POST", path: "/2015-03-31/functions/{}/aliases"},
		{op: "CreateCapacityProvider", method: "POST", path: "/2025-11-30/capacity-providers"},
		{op: "CreateCodeSigningConfig", method: "POST", path: "/2020-04-22/code-signing-configs"},
		{op: "CreateEventSourceMapping", method: "POST", path: "/2015-03-31/event-source-mappings", serve: (*Door).createMapping, mappings: true},
		{op: "CreateFunction", method: "POST", path: "/2015-03-31/functions"},
		{op: "CreateFunctionUrlConfig", method: "POST", path: "/2021-10-31/functions/{}/url"},
		{op: "DeleteAlias", method: "DELETE", path: "/2015-03-31/functions/{}/aliases/{}"},
		{op: "DeleteCapacityProvider", method: "DELETE", path: "/2025-11-30/capacity-providers/{}"},
		{op: "DeleteCodeSigningConfig", method: "DELETE", path: "/2020-04-22/code-signing-configs/{}"},
		{op: "DeleteEventSourceMapping", method: "DELETE", path: "/2015-03-31/event-source-mappings/{}", serve: (*Door).deleteMapping, mappings: true},
		{op: "DeleteFunction", method: "DELETE", path: "/2015-03-31/functions/{}"},
		{op: "DeleteFunctionCodeSigningConfig", method: "DELETE", path: "/2020-06-30/functions/{}/code-signing-config"},
		{op: "DeleteFunctionUrlConfig", method: "DELETE", path: "/2021-10-31/functions/{}/url"},
		{op: "DeleteLayerVersion", method: "DELETE", path: "/2018-10-31/layers/{}/versions/{}"},
		{op: "DeleteProvisionedConcurrencyConfig", method: "DELETE", path: "/2019-09-30/functions/{}/provisioned-concurrency"},
		{op: "DeleteResourcePolicy", method: "DELETE", path: "/2026-07-09/resource-policy/{}"},
		{op: "GetCapacityProvider", method: "GET", path: "/2025-11-30/capacity-providers/{}"},
		{op: "GetCodeSigningConfig", method: "GET", path: "/2020-04-22/code-signing-configs/{}"},
		{op: "GetDurableExecution", method: "GET", path: "/2025-12-01/durable-executions/{}"},
		{op: "GetDurableExecutionHistory", method: "GET", path: "/2025-12-01/durable-executions/{}/history"},
		{op: "GetDurableExecutionState", method: "GET", path: "/2025-12-01/durable-executions/{}/state"},
		{op: "GetEventSourceMapping", method: "GET", path: "/2015-03-31/event-source-mappings/{}", serve: (*Door).getMapping, mappings: true},
		{op: "GetFunctionCodeSigningConfig", method: "GET", path: "/2020-06-30/functions/{}/code-signing-config"},
		{op: "GetFunctionScalingConfig", method: "GET", path: "/2025-11-30/functions/{}/function-scaling-config"},
		{op: "GetLayerVersionPolicy", method: "GET", path: "/2018-10-31/layers/{}/versions/{}/policy"},
		{op: "ListProvisionedConcurrencyConfigs", method: "GET", path: "/2019-09-30/functions/{}/provisioned-concurrency", query: "List=ALL"},
		{op: "GetProvisionedConcurrencyConfig", method: "GET", path: "/2019-09-30/functions/{}/provisioned-concurrency"},
		{op: "GetResourcePolicy", method: "GET", path: "/2026-07-09/resource-policy/{}"},
		{op: "GetRuntimeManagementConfig", method: "GET", path: "/2021-07-20/functions/{}/runtime-management-config"},
		{op: "ListCapacityProviders", method: "GET", path: "/2025-11-30/capacity-providers"},
		{op: "ListCodeSigningConfigs", method: "GET", path: "/2020-04-22/code-signing-configs"},
		{op: "ListDurableExecutionsByFunction", method: "GET", path: "/2025-12-01/functions/{}/durable-executions"},
		{op: "ListEventSourceMappings", method: "GET", path: "/2015-03-31/event-source-mappings", serve: (*Door).listMappings, mappings: true},
		{op: "ListFunctionVersionsByCapacityProvider", method: "GET", path: "/2025-11-30/capacity-providers/{}/function-versions"},
		{op: "ListFunctionsByCodeSigningConfig", method: "GET", path: "/2020-04-22/code-signing-configs/{}/functions"},
		{op: "PublishLayerVersion", method: "POST", path: "/2018-10-31/layers/{}/versions"},
		{op: "PublishVersion", method: "POST", path: "/2015-03-31/functions/{}/versions"},
		{op: "PutFunctionCodeSigningConfig", method: "PUT", path: "/2020-06-30/functions/{}/code-signing-config"},
		{op: "PutFunctionScalingConfig", method: "PUT", path: "/2025-11-30/functions/{}/function-scaling-config"},
		{op: "PutProvisionedConcurrencyConfig", method: "PUT", path: "/2019-09-30/functions/{}/provisioned-concurrency"},
		{op: "PutResourcePolicy", method: "PUT", path: "/2026-07-09/resource-policy/{}"},
		{op: "PutRuntimeManagementConfig", method: "PUT", path: "/2021-07-20/functions/{}/runtime-management-config"},
		{op: "RemoveLayerVersionPermission", method: "DELETE", path: "/2018-10-31/layers/{}/versions/{}/policy/{}"},
		{op: "RemovePermission", method: "DELETE", path: "/2015-03-31/functions/{}/policy/{}"},
		{op: "SendDurableExecutionCallbackFailure", method: "POST", path: "/2025-12-01/durable-execution-callbacks/{}/fail"},
		{op: "SendDurableExecutionCallbackHeartbeat", method: "POST", path: "/2025-12-01/durable-execution-callbacks/{}/heartbeat"},
		{op: "SendDurableExecutionCallbackSuccess", method: "POST", path: "/2025-12-01/durable-execution-callbacks/{}/succeed"},
		{op: "StopDurableExecution", method: "POST", path: "/2025-12-01/durable-executions/{}/stop"},
		{op: "TagResource", method: "POST", path: "/2017-03-31/tags/{}", serve: (*Door).tagResource},
		{op: "UntagResource", method: "DELETE", path: "/2017-03-31/tags/{}", serve: (*Door).untagResource},
		{op: "UpdateAlias", method: "PUT", path: "/2015-03-31/functions/{}/aliases/{}"},
		{op: "UpdateCapacityProvider", method: "PUT", path: "/2025-11-30/capacity-providers/{}"},
		{op: "UpdateCodeSigningConfig", method: "PUT", path: "/2020-04-22/code-signing-configs/{}"},
		{op: "UpdateEventSourceMapping", method: "PUT", path: "/2015-03-31/event-source-mappings/{}", serve: (*Door).updateMapping, mappings: true},
		{op: "UpdateFunctionCode", method: "PUT", path: "/2015-03-31/functions/{}/code"},
		{op: "UpdateFunctionConfiguration", method: "PUT", path: "/2015-03-31/functions/{}/configuration"},
		{op: "UpdateFunctionUrlConfig", method: "PUT", path: "/2021-10-31/functions/{}/url"},
	}
	for i := range table {
		table[i].segments = strings.Split(table[i].path[1:], "/")
	}
	return table
}

// match finds the route of a request and its labels, unescaped. One slash at
// the end makes no difference: older SDKs send it.
func match(table []route, r *wire.Request) (*route, []string) {
	segments := strings.Split(strings.TrimSuffix(strings.TrimPrefix(r.Path, "/"), "/"), "/")
	for i := range table {
		t := &table[i]
		if t.method != r.HTTP.Method || len(t.segments) != len(segments) {
			continue
		}
		if key, value, ok := strings.Cut(t.query, "="); ok && r.HTTP.URL.Query().Get(key) != value {
			continue
		}
		if args, ok := labels(t.segments, segments); ok {
			return t, args
		}
	}
	return nil, nil
}

func labels(pattern, segments []string) ([]string, bool) {
	var args []string
	for i, p := range pattern {
		if p != "{}" {
			if p != segments[i] {
				return nil, false
			}
			continue
		}
		arg, err := url.PathUnescape(segments[i])
		if err != nil || arg == "" {
			return nil, false
		}
		args = append(args, arg)
	}
	return args, true
}

// refusal says that an operation is not served here, and what to do instead.
func refusal(t *route) *wire.Error {
	text := t.op + " is not supported here."
	if t.method != http.MethodGet && !strings.HasPrefix(t.path, "/2025-12-01/") {
		text = t.op + " is not supported here: functions and what belongs to them come from the template. Change the template instead."
	}
	return unsupported(text)
}

// Operation names the operation that a request asks for; "" when there is none.
func Operation(r *wire.Request) string {
	if t, _ := match(routes(), r); t != nil {
		return t.op
	}
	return ""
}

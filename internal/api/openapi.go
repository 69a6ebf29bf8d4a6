package api

import (
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"aorta/internal/callback"
	"aorta/internal/event"
)

// version of the API that openapi.json tells. It is raised when something is added.
const version = "1.0.0"

// OpenAPI is openapi.json as every house serves it. The clients are made of it.
func OpenAPI() []byte { return New(Options{}).openapi }

// describe makes openapi.json of the routes.
func (a *API) describe() []byte {
	d := &description{schemas: map[string]any{}, refusals: map[string]any{}}
	paths := map[string]map[string]any{}
	for _, r := range a.routes {
		if paths[r.pattern] == nil {
			paths[r.pattern] = map[string]any{}
		}
		paths[r.pattern][strings.ToLower(r.method)] = d.operation(r)
	}
	codes := slices.Sorted(maps.Keys(facts))
	d.schemas["Error"] = object{
		"type": "object", "required": []string{"error", "message", "trace_id", "details"}, "additionalProperties": false,
		"properties": object{
			"error": object{"type": "string", "enum": codes}, "message": object{"type": "string"},
			"trace_id": object{"type": "string", "pattern": "^[0-9a-f]{32}$"}, "details": object{"type": "object"},
		},
	}
	d.schemas["Problem"] = object{
		"type": "object", "required": []string{"type", "title", "status", "detail", "instance", "error", "trace_id", "details"}, "additionalProperties": false,
		"properties": object{
			"type": object{"type": "string", "format": "uri"}, "title": object{"type": "string"}, "status": object{"type": "integer"},
			"detail": object{"type": "string"}, "instance": object{"type": "string"}, "error": object{"type": "string", "enum": codes},
			"trace_id": object{"type": "string", "pattern": "^[0-9a-f]{32}$"}, "details": object{"type": "object"},
		},
	}
	return encode(object{
		"openapi": "3.1.0",
		"info": object{
			"title": "Aorta", "version": version, "license": object{"name": "Apache-2.0", "identifier": "Apache-2.0"},
			"description": "The native API. Amounts are decimal texts in major units. Every call that changes something needs an Idempotency-Key and is done once under it.",
		},
		"servers":  []object{{"url": "/"}},
		"paths":    paths,
		"webhooks": d.webhook(),
		"components": object{
			"schemas":   d.schemas,
			"responses": d.refusals,
			"headers": object{
				traceHeader: object{"description": "Names this answer in our logs.", "schema": object{"type": "string", "pattern": "^[0-9a-f]{32}$"}},
			},
			"securitySchemes": object{"key": object{"type": "http", "scheme": "bearer", "description": "An API key, sk_…"}},
		},
	})
}

type object = map[string]any

// description is what the document's paths refer to.
type description struct {
	schemas  map[string]any
	refusals map[string]any // by the codes that they give
}

// everywhere are the errors that any call with a key may give.
var everywhere = []code{
	codeUnauthenticated, codeForbidden, codeIP, codeTooLarge, codeValidation, codePAN, codeRate, codeInternal, codeStorage, codeOverloaded,
}

func (d *description) operation(r *route) object {
	op := object{"operationId": r.name, "summary": r.doc}
	var parameters []object
	for _, s := range r.segments {
		if name, ok := strings.CutPrefix(s, "{"); ok {
			name = strings.TrimSuffix(name, "}")
			schema := object{"type": "string"}
			if k, known := kinds[name]; known {
				schema = k.schema()
			}
			parameters = append(parameters, object{"name": name, "in": "path", "required": true, "schema": schema})
		}
	}
	for _, m := range r.queryMembers {
		parameters = append(parameters, object{"name": m.name, "in": "query", "description": m.doc, "schema": d.member(m)})
	}
	list := slices.Clone(r.errors)
	if r.scope != "" {
		op["security"] = []object{{"key": []string{}}}
		op["x-scope"] = string(r.scope)
		list = append(list, everywhere...)
	}
	if r.mutates() {
		where, needed := "Names what is to be done once. It may be idempotency_key of the body instead.", false
		if r.body == nil {
			where, needed = "Names what is to be done once.", true
		}
		parameters = append(parameters, object{
			"name": keyHeader, "in": "header", "description": where, "required": needed,
			"schema": object{"type": "string", "minLength": 1, "maxLength": maxKey + 2},
		})
		list = append(list, codeKeyMissing, codeBadHeader, codeConflict, codeInProgress)
	}
	if r.news != nil {
		parameters = append(parameters, object{
			"name": "X-Signature", "in": "header", "required": true, "description": "Of the raw body.",
			"schema": object{"type": "string", "pattern": "^sha256=[0-9a-f]{64}$"},
		})
		op["requestBody"] = object{"required": true, "content": object{"application/json": object{"schema": object{"type": "object"}}}}
	}
	if r.body != nil {
		list = append(list, codeMalformedJSON, codeMedia)
		op["requestBody"] = object{"required": true, "content": object{"application/json": object{"schema": d.ref(r.body, r.bodyMembers)}}}
	}
	if len(parameters) > 0 {
		op["parameters"] = parameters
	}
	ok := object{"description": "Done.", "headers": headers()}
	if r.answer != nil {
		ok["content"] = object{"application/json": object{"schema": d.ref(r.answer, r.answerMembers)}}
	} else {
		ok["content"] = object{"application/json": object{}}
	}
	responses := object{"200": ok}
	for status, codes := range byStatus(list) {
		responses[strconv.Itoa(status)] = d.refusal(codes)
	}
	op["responses"] = responses
	return op
}

// refusal puts an answer by one of some codes among the components, and refers to it.
func (d *description) refusal(codes []code) object {
	texts := make([]string, len(codes))
	for n, c := range codes {
		texts[n] = string(c)
	}
	name := strings.Join(texts, ".")
	d.refusals[name] = object{
		"description": strings.Join(texts, ", "), "headers": headers(),
		"content": object{
			"application/json":         object{"schema": object{"$ref": "#/components/schemas/Error"}},
			"application/problem+json": object{"schema": object{"$ref": "#/components/schemas/Problem"}},
		},
	}
	return object{"$ref": "#/components/responses/" + name}
}

func byStatus(list []code) map[int][]code {
	out := map[int][]code{}
	slices.Sort(list)
	for _, c := range slices.Compact(list) {
		out[facts[c].status] = append(out[facts[c].status], c)
	}
	if slices.Contains(list, codeTooLarge) {
		out[http.StatusRequestURITooLong] = append(out[http.StatusRequestURITooLong], codeTooLarge)
		out[http.StatusRequestHeaderFieldsTooLarge] = append(out[http.StatusRequestHeaderFieldsTooLarge], codeTooLarge)
	}
	return out
}

const traceHeader = "Aorta-Trace-Id"

func headers() object {
	return object{traceHeader: object{"$ref": "#/components/headers/" + traceHeader}}
}

// ref puts a struct among the schemas, and refers to it.
func (d *description) ref(v any, members []member) object {
	return d.refTo(reflect.TypeOf(v).Elem(), members)
}

func (d *description) refTo(t reflect.Type, members []member) object {
	name := []rune(t.Name())
	name[0] = unicode.ToUpper(name[0])
	if _, ok := d.schemas[string(name)]; !ok {
		d.schemas[string(name)] = object{} // before its members, which may refer to it
		required, properties := []string{}, object{}
		for _, m := range members {
			if m.need {
				required = append(required, m.name)
			}
			if m.inner != nil {
				inner := t.Field(m.index).Type
				for inner.Kind() != reflect.Struct {
					inner = inner.Elem()
				}
				to := d.refTo(inner, m.inner)
				if m.list {
					to = object{"type": "array", "items": to}
				}
				to["description"] = m.doc
				properties[m.name] = to
				continue
			}
			properties[m.name] = d.member(m)
		}
		schema := object{"type": "object", "properties": properties, "additionalProperties": false}
		if len(required) > 0 {
			schema["required"] = required
		}
		d.schemas[string(name)] = schema
	}
	return object{"$ref": "#/components/schemas/" + string(name)}
}

func (d *description) member(m member) object {
	s := kinds[m.kind].schema()
	if m.enum != nil {
		s["enum"] = m.enum
	}
	if m.kind == "meta" {
		s["additionalProperties"] = object{"type": "string", "maxLength": maxMetaOf}
		s["propertyNames"] = object{"pattern": metaName.String()}
		s["maxProperties"] = maxMeta
	}
	if m.kind == "limit" {
		s["minimum"], s["maximum"], s["default"] = 1, maxLimit, defaultLimit
	}
	if m.kind == "hours" {
		s["minimum"], s["maximum"], s["default"] = 0, maxHours, int(callback.DefaultOverlap/time.Hour)
	}
	if m.kind == "type" {
		s["enum"] = typesTold()
	}
	if m.kind == "event_type" {
		s["enum"] = event.Kinds()
	}
	if m.kind == "types" {
		s["items"], s["maxItems"] = object{"type": "string", "enum": event.Types()}, len(event.Types())
	}
	s["description"] = m.doc
	return s
}

func (k kind) schema() object {
	s := object{"type": "string"}
	if k.schemaType != "" {
		s["type"] = k.schemaType
	}
	if k.format != "" {
		s["format"] = k.format
	}
	if k.pattern != "" {
		s["pattern"] = k.pattern
	}
	if k.minimum > 0 {
		s["minLength"] = k.minimum
	}
	if k.most > 0 {
		s["maxLength"] = k.most
	}
	return s
}

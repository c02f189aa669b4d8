// Package station joins a station to its centre: calls of the station API, and the line that a station keeps to the queue.
//
// The one idea: a station dials, the centre answers. Calls ([Client]) change tickets and can be repeated. The line ([Link] at
// the station, [Hub] at the centre) carries up what staff want to see and down what they order. Its messages are closed
// types with bounded sizes: a sample, a thumbnail or a frame has no place in any of them. The API stands in
// docs/api/queued.yaml, from which the wire types are generated.
package station

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 -config wire.cfg.yaml ../../docs/api/queued.yaml

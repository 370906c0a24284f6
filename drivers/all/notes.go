package all

// notes are what an operator should know of a driver beside its options: a line of
// Markdown each, for its page.
var notes = map[string][]string{
	"s3": {
		"A server that insists on a region and names it in its answer is followed there, once for each S3 bucket; one that does not name it gets `region`, then `AWS_DEFAULT_REGION`.",
		"Signatures cover `Host`, and the headers that begin with `X-Amz`, `Content` and `If`. What is between may rewrite the others, as Google's and Cloudflare's front ends do with `Accept-Encoding`.",
		"Where `DeleteObjects` is refused, objects are deleted one by one. Where `Expect: 100-continue` is refused (417), requests go without it. An answer without a length is asked for by HEAD, or read to its end and counted.",
		"`check` puts 4 MiB, and four small objects that it lists one by one: a proxy that takes no long bodies, and a listing out of order, show there. `verify --orphans` takes any order that ends, a registry's storage needs that of the keys.",
		"Where the S3 bucket keeps versions, what is deleted stays as one and costs what it did. `plan` and `check` say so, where `s3:GetBucketVersioning` is granted.",
	},
	"swift": {
		"In a container with `X-Versions-Location` a DELETE brings the version before back. kedge deletes no object there that has one: it is named (`source-left`). In one with `X-History-Location` or `X-Versions-Enabled` what is deleted stays among the versions and costs what it did. `plan` and `check` say which it is.",
		"An answer without a length is asked for by HEAD, or read to its end and counted.",
	},
}

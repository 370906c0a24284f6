package db

// postgresStatements are a table's statements on PostgreSQL. Those on many keys
// look each one up in a subquery that cannot be joined in another way, so that
// they go by the primary key however large the planner takes the table for: a
// table that is being filled has no statistics. remove collects the rows'
// addresses first; a row that another transaction replaces meanwhile has a new
// one and stays, as if it had been put after the delete. An address is a row's
// own within one table only: in a partitioned table, or one with inherited
// children, each of them has rows at the same addresses. So the key counts too.
type postgresStatements struct {
	// read: users, buckets, archive ids, limits -> number, bytes (NULL where
	// there is no data), base64?, data (NULL where longer than the limit), version.
	read string
	// stream: user, bucket, archive id, piece's length -> offset, bytes, piece.
	stream string
	// write: users, buckets, archive ids, data, base64?, Unix time -> user,
	// bucket, archive id, MD5, are there other rows of the key?, version
	write string
	// gather stores what lies in the table of pieces: user, bucket, archive id,
	// base64?, Unix time -> MD5, version.
	gather string
	// remove: users, buckets, archive ids.
	remove string
	// clear removes other rows of a key; "" where there are none. user, bucket,
	// archive id.
	clear string
	// clearChildren removes the rows of keys that lie in inherited children of
	// the table: users, buckets, archive ids.
	clearChildren string
	// updated: user, bucket, archive id -> Unix time, NULL where there is no row.
	updated string
	// page makes a statement that lists, with how an MD5 is computed, a condition on
	// which rows and the parameter of how many -> user, bucket, archive id, bytes,
	// version, MD5.
	page func(sum, which, limit string) string
	// sum is how MD5s are computed for page, NULL of what is not sound; behind is its
	// condition for a page that is not the first: user, bucket, archive id, limit.
	sum, behind string
}

// sqliteStatements are a table's statements on SQLite.
type sqliteStatements struct {
	read   string // user, bucket, archive id -> bytes (NULL: no data), base64?, row id
	whole  string // row id -> data
	slice  string // row id, offset from 1, length -> data
	write  string // user, bucket, archive id, data, base64?, Unix time
	gather string // user, bucket, archive id, base64?, Unix time
	remove string // user, bucket, archive id
	clear  string // as remove; may be ""
	// updated is as PostgreSQL's.
	updated string
	page    string // user, bucket, archive id, limit
	first   string // limit
}

// columns of archive_document that a Put writes, and what it leaves alone of a
// row that is there.
const (
	documentColumns  = `(bucket, "archiveId", "userId", "documentName", created_at, last_updated, record_state_key, jsondata, b64_encoded)`
	documentConflict = `ON CONFLICT (bucket, "archiveId", "userId", "documentName") DO UPDATE
		SET jsondata = excluded.jsondata, b64_encoded = excluded.b64_encoded, last_updated = excluded.last_updated`
	objectColumns  = `("userId", bucket, "key", version, content, created_at, last_updated)`
	objectConflict = `ON CONFLICT ("userId", bucket, "key", version) DO UPDATE
		SET content = excluded.content, last_updated = excluded.last_updated`
)

// The columns of a key in the order of the three array parameters, which pgKeys
// makes rows of.
const (
	documentKey = `"userId", bucket, "archiveId"`
	objectKey   = `"userId", bucket, "key"`
	pgKeys      = `SELECT * FROM unnest($1::text[], $2::text[], $3::text[])`
)

// preferred picks one row of those with the same user, bucket and archive id.
const preferred = `ORDER BY "documentName" = "archiveId" || '.json' DESC, "documentName" LIMIT 1`

// isPreferred is the same as a condition on one row of d.
const isPreferred = `("documentName" = "archiveId" || '.json' OR NOT EXISTS (
	SELECT 1 FROM archive_document o
	WHERE o.bucket = d.bucket AND o."archiveId" = d."archiveId" AND o."userId" = d."userId"
	  AND (o."documentName" = o."archiveId" || '.json' OR o."documentName" < d."documentName")))`

// The version of a row on PostgreSQL is the transaction that wrote it, 32 bits of its
// number. Who writes a row asks what his own transaction is: RETURNING cannot tell
// xmin of a row in a partition.
const (
	pgVersion = `xmin::text`
	pgWritten = `(txid_current() % 4294967296)::text`
)

// Fragments for PostgreSQL. encode() breaks lines after 76 characters as Python
// does, but ends with a newline only where the last line is a full one made of
// three bytes a group, that is, where the length is a multiple of 57.
const (
	pgText   = `convert_from(c, 'UTF8')`
	pgBase64 = `encode(c, 'base64') || CASE WHEN octet_length(c) % 57 = 0 THEN '' ELSE E'\n' END`
	pgStored = `CASE WHEN b64_encoded THEN decode(jsondata, 'base64') ELSE ` + pgBytes + ` END`
	// pgBytes are the bytes of a text: as Anchore wrote them, in UTF-8, or, where
	// the database does not know what its text is in, as they are.
	pgBytes = `convert_to(jsondata, CASE WHEN getdatabaseencoding() = 'SQL_ASCII' THEN 'SQL_ASCII'::name ELSE 'UTF8'::name END)`
	// pgLength is how many they are.
	pgLength = `CASE WHEN getdatabaseencoding() IN ('UTF8', 'SQL_ASCII') THEN octet_length(jsondata) ELSE octet_length(` + pgBytes + `) END::int8`
	// pgDecoded is the length of base64 text, decoded. It reads all of the text.
	// translate() takes four times its length in memory, and no more than 1 GB; of
	// longer texts the lines are taken to be as Anchore writes them.
	pgDecoded = `CASE WHEN octet_length(jsondata) < 268000000
		THEN octet_length(translate(jsondata, E' \t\n\u000b\f\r=', ''))::int8 * 3 / 4
		ELSE (octet_length(jsondata) - (octet_length(jsondata) + 76) / 77)::int8 / 4 * 3
			- octet_length(right(jsondata, 3)) + octet_length(replace(right(jsondata, 3), '=', '')) END`
	// pgFits says whether d is read at once: for base64, lines of 57 bytes in 77
	// characters are assumed, which never takes a payload for longer than it is
	// unless it holds more white space than that.
	pgFits = `k.max >= 0 AND CASE WHEN d.b64 THEN d.raw * 57 / 77 - 3 <= k.max ELSE d.raw <= k.max END`
	// pgPieces cuts v.c into pieces; it is computed once, and gives one empty
	// piece for an empty payload.
	pgPieces = `generate_series(0, greatest(octet_length(v.c) - 1, 0), $4::int4) i`
	// pgSum is the MD5 of a payload, NULL of base64 text that decode() would refuse
	// or that is too long to be looked at.
	pgSum = `CASE WHEN NOT coalesce(b64_encoded, false) THEN md5(` + pgBytes + `)
		WHEN octet_length(jsondata) < 100000000 THEN (
			SELECT CASE WHEN octet_length(t) % 4 = 0 AND octet_length(t) - octet_length(rtrim(t, '=')) <= 2 AND rtrim(t, '=') !~ '[^A-Za-z0-9+/]'
				THEN md5(decode(t, 'base64')) END
			FROM (SELECT translate(jsondata, E' \t\n\u000b\f\r', '') AS t OFFSET 0) s) END`
	pgAll = `(SELECT string_agg(chunk, ''::bytea ORDER BY n) AS c FROM pg_temp.kedge_chunk) s`
)

// documents is archive_document.
var documents = table{
	name:    "archive_document",
	encodes: true,
	postgres: postgresStatements{
		read: `SELECT k.n,
				CASE WHEN d.b64 AND NOT (` + pgFits + `) THEN ` + pgDecoded + ` ELSE d.raw END,
				d.b64, CASE WHEN ` + pgFits + ` THEN ` + pgBytes + ` END, d.version
			FROM unnest($1::text[], $2::text[], $3::text[], $4::int8[]) WITH ORDINALITY AS k(u, b, a, max, n)
			CROSS JOIN LATERAL (
				SELECT jsondata, coalesce(b64_encoded, false) AS b64, ` + pgLength + ` AS raw, ` + pgVersion + ` AS version
				FROM archive_document WHERE bucket = k.b AND "archiveId" = k.a AND "userId" = k.u ` + preferred + `) d`,
		stream: `SELECT i, octet_length(v.c), substring(v.c from i + 1 for $4::int4)
			FROM (SELECT ` + pgStored + ` AS c FROM archive_document
				WHERE "userId" = $1 AND bucket = $2 AND "archiveId" = $3 ` + preferred + `) v, ` + pgPieces,
		write: `INSERT INTO archive_document AS d ` + documentColumns + `
			SELECT b, a, u, a || '.json', $6::int4, $6::int4, 'active', CASE WHEN enc THEN ` + pgBase64 + ` ELSE ` + pgText + ` END, enc
			FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::bool[]) AS k(u, b, a, c, enc)
			` + documentConflict + ` RETURNING "userId", bucket, "archiveId", md5(` + pgStored + `),
				EXISTS (SELECT 1 FROM archive_document o WHERE o.bucket = d.bucket AND o."archiveId" = d."archiveId"
					AND o."userId" = d."userId" AND o."documentName" <> d."documentName"), ` + pgWritten,
		clear: `DELETE FROM archive_document
			WHERE "userId" = $1::text AND bucket = $2::text AND "archiveId" = $3::text AND "documentName" <> $3::text || '.json'`,
		updated: `SELECT max(last_updated) FROM archive_document WHERE "userId" = $1 AND bucket = $2 AND "archiveId" = $3`,
		gather: `INSERT INTO archive_document ` + documentColumns + `
			SELECT $2::text, $3::text, $1::text, $3::text || '.json', $5::int4, $5::int4, 'active',
				CASE WHEN $4::bool THEN ` + pgBase64 + ` ELSE ` + pgText + ` END, $4::bool
			FROM ` + pgAll + ` ` + documentConflict + ` RETURNING md5(` + pgStored + `), ` + pgWritten,
		remove: `DELETE FROM archive_document WHERE ctid = ANY(ARRAY(
			SELECT d.ctid FROM unnest($1::text[], $2::text[], $3::text[]) AS k(u, b, a) CROSS JOIN LATERAL (
				SELECT ctid FROM archive_document WHERE bucket = k.b AND "archiveId" = k.a AND "userId" = k.u OFFSET 0) d))
			AND (` + documentKey + `) IN (` + pgKeys + `)`,
		clearChildren: `DELETE FROM archive_document WHERE tableoid <> 'archive_document'::regclass AND (` + documentKey + `) IN (` + pgKeys + `)`,
		page: func(sum, which, limit string) string {
			return `SELECT "userId", bucket, "archiveId",
				CASE WHEN b64_encoded THEN ` + pgDecoded + ` ELSE ` + pgLength + ` END, ` + pgVersion + `, ` + sum + `
			FROM archive_document d WHERE ` + which + isPreferred + `
			ORDER BY bucket, "archiveId", "userId" LIMIT ` + limit
		},
		sum:    pgSum,
		behind: `(bucket, "archiveId", "userId") > ($2, $3, $1) AND `,
	},
	sqlite: sqliteStatements{
		read: `SELECT octet_length(jsondata), coalesce(b64_encoded, 0), rowid FROM archive_document
			WHERE "userId" = ? AND bucket = ? AND "archiveId" = ? ` + preferred,
		whole: `SELECT CAST(jsondata AS BLOB) FROM archive_document WHERE rowid = ?`,
		slice: `SELECT substr(CAST(jsondata AS BLOB), ?2, ?3) FROM archive_document WHERE rowid = ?1`,
		write: `INSERT INTO archive_document ` + documentColumns + `
			VALUES (?2, ?3, ?1, ?3 || '.json', ?6, ?6, 'active', CAST(?4 AS TEXT), ?5) ` + documentConflict,
		gather: `INSERT INTO archive_document ` + documentColumns + `
			SELECT ?2, ?3, ?1, ?3 || '.json', ?5, ?5, 'active', CAST(c AS TEXT), ?4 FROM ` + sqliteAll + ` WHERE true ` + documentConflict,
		remove:  `DELETE FROM archive_document WHERE "userId" = ? AND bucket = ? AND "archiveId" = ?`,
		updated: `SELECT max(last_updated) FROM archive_document WHERE "userId" = ? AND bucket = ? AND "archiveId" = ?`,
		clear:   `DELETE FROM archive_document WHERE "userId" = ?1 AND bucket = ?2 AND "archiveId" = ?3 AND "documentName" <> ?3 || '.json'`,
		page: `SELECT "userId", bucket, "archiveId", ` + sqliteBytes + ` FROM archive_document d
			WHERE (bucket, "archiveId", "userId") > (?2, ?3, ?1) AND ` + isPreferred + `
			ORDER BY bucket, "archiveId", "userId" LIMIT ?4`,
		first: `SELECT "userId", bucket, "archiveId", ` + sqliteBytes + ` FROM archive_document d
			WHERE ` + isPreferred + ` ORDER BY bucket, "archiveId", "userId" LIMIT ?1`,
	},
}

// Fragments for SQLite.
const (
	sqliteBytes = `CASE WHEN b64_encoded THEN octet_length(replace(replace(replace(replace(replace(jsondata, char(10), ''), char(13), ''), char(9), ''), ' ', ''), '=', '')) * 3 / 4
		ELSE octet_length(jsondata) END`
	sqliteAll = `(SELECT CAST(group_concat(chunk, '' ORDER BY n) AS BLOB) AS c FROM temp.kedge_chunk)`
)

// objects is object_storage. Anchore writes no other version than the empty one.
var objects = table{
	name:       "object_storage",
	compresses: true,
	postgres: postgresStatements{
		read: `SELECT k.n, octet_length(o.content)::int8, false, CASE WHEN octet_length(o.content) <= k.max THEN o.content END, o.version
			FROM unnest($1::text[], $2::text[], $3::text[], $4::int8[]) WITH ORDINALITY AS k(u, b, a, max, n)
			CROSS JOIN LATERAL (SELECT content, ` + pgVersion + ` AS version FROM object_storage
				WHERE "userId" = k.u AND bucket = k.b AND "key" = k.a AND version = '' OFFSET 0) o`,
		stream: `SELECT i, octet_length(v.c), substring(v.c from i + 1 for $4::int4)
			FROM (SELECT substring(content from 1) AS c FROM object_storage
				WHERE "userId" = $1 AND bucket = $2 AND "key" = $3 AND version = '' OFFSET 0) v, ` + pgPieces,
		write: `INSERT INTO object_storage ` + objectColumns + `
			SELECT u, b, a, '', c, $6::int4, $6::int4 FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::bool[]) AS k(u, b, a, c, enc)
			` + objectConflict + ` RETURNING "userId", bucket, "key", md5(content), false, ` + pgWritten,
		updated: `SELECT max(last_updated) FROM object_storage WHERE "userId" = $1 AND bucket = $2 AND "key" = $3 AND version = ''`,
		gather: `INSERT INTO object_storage ` + objectColumns + `
			SELECT $1::text, $2::text, $3::text, '', c, $5::int4, $5::int4 FROM ` + pgAll + ` WHERE $4::bool IS NOT NULL ` + objectConflict + ` RETURNING md5(content), ` + pgWritten,
		remove: `DELETE FROM object_storage WHERE ctid = ANY(ARRAY(
			SELECT o.ctid FROM unnest($1::text[], $2::text[], $3::text[]) AS k(u, b, a) CROSS JOIN LATERAL (
				SELECT ctid FROM object_storage WHERE "userId" = k.u AND bucket = k.b AND "key" = k.a AND version = '' OFFSET 0) o))
			AND version = '' AND (` + objectKey + `) IN (` + pgKeys + `)`,
		clearChildren: `DELETE FROM object_storage WHERE tableoid <> 'object_storage'::regclass
			AND version = '' AND (` + objectKey + `) IN (` + pgKeys + `)`,
		page: func(sum, which, limit string) string {
			return `SELECT "userId", bucket, "key", octet_length(content)::int8, ` + pgVersion + `, ` + sum + ` FROM object_storage
			WHERE ` + which + `version = '' ORDER BY "userId", bucket, "key" LIMIT ` + limit
		},
		sum:    `md5(content)`,
		behind: `("userId", bucket, "key") > ($1, $2, $3) AND `,
	},
	sqlite: sqliteStatements{
		read: `SELECT octet_length(content), 0, rowid FROM object_storage
			WHERE "userId" = ? AND bucket = ? AND "key" = ? AND version = ''`,
		whole: `SELECT CAST(content AS BLOB) FROM object_storage WHERE rowid = ?`,
		slice: `SELECT substr(CAST(content AS BLOB), ?2, ?3) FROM object_storage WHERE rowid = ?1`,
		write: `INSERT INTO object_storage ` + objectColumns + ` VALUES (?1, ?2, ?3, '', ?4, ?6, ?6) ` + objectConflict,
		gather: `INSERT INTO object_storage ` + objectColumns + `
			SELECT ?1, ?2, ?3, '', c, ?5, ?5 FROM ` + sqliteAll + ` WHERE ?4 IS NOT NULL ` + objectConflict,
		updated: `SELECT max(last_updated) FROM object_storage WHERE "userId" = ? AND bucket = ? AND "key" = ? AND version = ''`,
		remove:  `DELETE FROM object_storage WHERE "userId" = ? AND bucket = ? AND "key" = ? AND version = ''`,
		page: `SELECT "userId", bucket, "key", octet_length(content) FROM object_storage
			WHERE ("userId", bucket, "key") > (?1, ?2, ?3) AND version = '' ORDER BY "userId", bucket, "key" LIMIT ?4`,
		first: `SELECT "userId", bucket, "key", octet_length(content) FROM object_storage
			WHERE version = '' ORDER BY "userId", bucket, "key" LIMIT ?1`,
	},
}

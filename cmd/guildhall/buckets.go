package main

// The clouds' buckets, where files can be stored beside folders: see artifacts.OpenStore.
import (
	_ "gocloud.dev/blob/azureblob" // registers "azblob"
	_ "gocloud.dev/blob/gcsblob"   // registers "gs"
	_ "gocloud.dev/blob/s3blob"    // registers "s3"
)

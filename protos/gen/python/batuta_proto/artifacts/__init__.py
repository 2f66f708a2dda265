"""Generated from protos/; see tools/genproto.sh."""

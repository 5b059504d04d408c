package wire

// Path prefixes and fixed paths, part 1 sections 1.3 and 1.4. API paths are
// relative to a site prefix, see [SitePrefix].
const (
	PathLogin       = "/login"
	PathLoginV2     = "/v2/localLogin"
	PathLogout      = "/logout"
	PathSalt        = "/auth/api/v2/salt"
	PathAuth        = "/auth"
	PathAuthV1      = "/auth/api/v1"
	PathAuthV2      = "/auth/api/v2"
	PathAPI         = "/api/v1"
	PathZuul        = "/zuul"
	PathHealth      = "/internal/v1/health"
	PathWorkspaces  = "/workspaces"
	PathDirectories = "/directories"
	PathFiles       = "/files"
	PathBreakpoints = "/breakpointfiles"
	PathSites       = "/sites"
	PathRoles       = "/roles"
)

// Header names. Part 1 sections 2.2, 3.1, 3.2 and part 2 section 1.
const (
	HeaderToken        = "x-auth-token"
	HeaderUserDetails  = "user_details"
	HeaderDate         = "date"
	HeaderError        = "X-SCM-ERROR"
	HeaderErrorCharset = "X-SCM-ERROR-CHARSET"
	HeaderErrorHost    = "SCM-ERROR-HOST"
	HeaderExtraError   = "X-SCM-EXTRA-ERROR-INFO"
	HeaderCount        = "X-SCM-Count"
	HeaderDirectory    = "directory"
	HeaderFile         = "file"
	HeaderFileInfo     = "file_info"
	HeaderBreakpoint   = "X-SCM-BREAKPOINTFILE"
	HeaderDescription  = "description"
	HeaderDataLength   = "data_length"
)

// Content types. A data body must never carry a form content type: the server
// would consume it as parameters (part 2 section 1.2).
const (
	ContentTypeForm   = "application/x-www-form-urlencoded; charset=utf-8"
	ContentTypeBinary = "binary/octet-stream"
	ContentTypeJSON   = "application/json;charset=UTF-8"
)

// Parameter names, query or form.
const (
	ParamWorkspace      = "workspace_name"
	ParamFilter         = "filter"
	ParamOrderBy        = "orderby"
	ParamSelector       = "selector"
	ParamSkip           = "skip"
	ParamLimit          = "limit"
	ParamScope          = "scope"
	ParamName           = "name"
	ParamPath           = "path"
	ParamParentID       = "parent_directory_id"
	ParamParentPath     = "parent_directory_path"
	ParamMajor          = "major_version"
	ParamMinor          = "minor_version"
	ParamUploadConfig   = "upload_config"
	ParamUpdateOption   = "update_content_option"
	ParamBreakpointFile = "breakpoint_file"
	ParamFileInfo       = "file_info"
	ParamOffset         = "offset"
	ParamLength         = "length"
	ParamReadFlag       = "read_flag"
	ParamIsPhysical     = "is_physical"
	ParamAction         = "action"
	ParamFilePath       = "file_path"
	ParamIsLastContent  = "is_last_content"
	ParamChecksumType   = "checksum_type"
	ParamNeedMD5        = "is_need_md5"
	ParamCreateTime     = "create_time"
	ParamHasSetTime     = "has_set_time"
	ParamKeepAlive      = "keep_alive"
	ParamEnforced       = "enforced"
	ParamWorkspaceConf  = "workspace_conf"
	ParamUpdator        = "updator"
	ParamUsername       = "username"
	ParamPassword       = "password"
	ParamPasswordType   = "password_type"
	ParamResourceType   = "resource_type"
	ParamResource       = "resource"
	ParamPrivilege      = "privilege"
)

// Values of [ParamAction].
const (
	ActionDeleteByPath       = "delete_file_by_path"
	ActionDeleteVersion      = "delete_version"
	ActionCalcMD5            = "calc_md5"
	ActionGetContentLocation = "get_content_location"
)

// Values of [ParamScope], part 2 section 4.1.
const (
	ScopeCurrent = 1
	ScopeHistory = 2
	ScopeAll     = 3
)

// Bits of [ParamReadFlag], part 2 section 3.5.
const (
	ReadWithData     = 1
	ReadNeedSeek     = 2
	ReadLocalSite    = 4
	ReadForceNoCache = 8
)

// Sizes the protocol fixes.
const (
	// MaxRangedRead is the most a GET with length >= 0 returns (part 2 section 3.5).
	MaxRangedRead = 64 << 10
	// PartSize is the unit of Ceph S3 storage: every increment starts at a
	// multiple of it (part 2 section 5.12).
	PartSize = 5 << 20
	// DefaultIncrement is the driver's increment (part 2 section 6.1).
	DefaultIncrement = 15 << 20
	// MaxIncrement is the longest increment that is safe on every storage
	// (part 2 section 5.12).
	MaxIncrement = 45 << 20
	// FlushInterval is how many bytes of one increment the server accepts before
	// it writes the breakpoint record in the middle (part 2 section 5.6).
	FlushInterval = 50 << 20
	// GatewayHeaderLimit bounds request line and headers at a gateway, and the
	// response header block too (part 2 section 1.5).
	GatewayHeaderLimit = 8192
)

// SitePrefix returns the path prefix that leads to a content server of the
// site: "/{site}/api/v1". With stream it is the "/zuul" form, which forwards a
// body without buffering (part 2 section 1.1).
func SitePrefix(site string, stream bool) string {
	p := "/" + site + PathAPI
	if stream {
		p = PathZuul + p
	}
	return p
}

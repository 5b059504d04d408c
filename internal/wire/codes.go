package wire

import "fmt"

// Code is SCM's error number: negative for errors raised by SequoiaCM, the HTTP
// status (positive) for errors of its web framework, 0 for none. It arrives in
// the field "status" of an error body or of the header X-SCM-ERROR; the HTTP
// status line alone never tells (part 1 section 3).
type Code int

// The codes of part 1 section 3.4.
const (
	CodeUnknownError               Code = -1
	CodeInvalidArgument            Code = -101
	CodeInvalidID                  Code = -102
	CodeSystemError                Code = -103
	CodeLockError                  Code = -104
	CodeMissingArgument            Code = -105
	CodeOutOfBound                 Code = -106
	CodeOperationUnsupported       Code = -107
	CodeOperationForbidden         Code = -108
	CodeOperationUnauthorized      Code = -109
	CodeOperationTimeout           Code = -110
	CodeResourceConflict           Code = -111
	CodeAttributeFormatError       Code = -130
	CodeNoOperandForKey            Code = -131
	CodeSessionClosed              Code = -132
	CodeNetworkIO                  Code = -133
	CodeCommitUncertainState       Code = -134
	CodeSaltNotExist               Code = -135
	CodeFindSaltFailed             Code = -136
	CodeServerReloadConfFailed     Code = -201
	CodeServerNotInWorkspace       Code = -202
	CodeServerNotExist             Code = -203
	CodeSiteNotExist               Code = -204
	CodeWorkspaceNotExist          Code = -205
	CodeMetasourceError            Code = -206
	CodeWorkspaceNotEmpty          Code = -207
	CodeWorkspaceExist             Code = -208
	CodeMetasourceRecordExist      Code = -209
	CodeMetasourceTableNotExist    Code = -210
	CodeTaskDuplicate              Code = -220
	CodeTaskNotExist               Code = -221
	CodeExceedMaxConcurrentTask    Code = -222
	CodeDirExist                   Code = -240
	CodeDirNotFound                Code = -241
	CodeDirNotEmpty                Code = -242
	CodeDirMoveToSubdir            Code = -243
	CodeDirFeatureDisable          Code = -244
	CodeBatchNotFound              Code = -250
	CodeBatchFileSameName          Code = -251
	CodeBatchExist                 Code = -252
	CodeFileExist                  Code = -261
	CodeFileNotFound               Code = -262
	CodeFileTableNotFound          Code = -263
	CodeFileVersionMismatching     Code = -264
	CodeFileInSpecifiedBatch       Code = -265
	CodeFileInAnotherBatch         Code = -266
	CodeFileNotInBatch             Code = -267
	CodeFileClassUndefined         Code = -268
	CodeBatchClassUndefined        Code = -269
	CodeFileInAnotherBucket        Code = -270
	CodePrivilegeGrantFailed       Code = -280
	CodePrivilegeRevokeFailed      Code = -281
	CodeDataError                  Code = -401
	CodeDataNotExist               Code = -402
	CodeDataTypeError              Code = -403
	CodeDataWriteError             Code = -404
	CodeDataReadError              Code = -405
	CodeDataDeleteError            Code = -406
	CodeDataUnavailable            Code = -407
	CodeDataExist                  Code = -408
	CodeDataCorrupted              Code = -409
	CodeDataBreakpointWriteError   Code = -410
	CodeDataIsInUse                Code = -411
	CodeStoreSpaceIsNotExist       Code = -412
	CodeDataPiecesInfoOverflow     Code = -413
	CodeDataStorageQuotaExceeded   Code = -414
	CodeMetadataCheckError         Code = -501
	CodeMetadataClassExist         Code = -502
	CodeMetadataClassNotExist      Code = -503
	CodeMetadataAttrExist          Code = -504
	CodeMetadataAttrNotExist       Code = -505
	CodeMetadataAttrNotInClass     Code = -506
	CodeMetadataAttrAlreadyInClass Code = -507
	CodeMetadataAttrDeleteFailed   Code = -508
	CodeFileIO                     Code = -601
	CodeFileNotExist               Code = -602
	CodeFileIsDirectory            Code = -603
	CodeFileAlreadyExists          Code = -604
	CodeFileCreateFailed           Code = -605
	CodeFileDeleteFailed           Code = -606
	CodeFilePermission             Code = -607
	CodeFileIsClosed               Code = -608
	CodeInputStreamClosed          Code = -609
	CodeOutputStreamClosed         Code = -610
	CodeFileInvalidCustomtag       Code = -611
	CodeFileCustomtagTooLarge      Code = -612
	CodeConfigServerError          Code = -700
	CodeWorkspaceCacheExpire       Code = -701
	CodeBucketExists               Code = -850
	CodeBucketNotExists            Code = -851
	CodeBucketNotEmpty             Code = -852
	CodeBucketInvalidCustomtag     Code = -853
	CodeBucketCustomtagTooLarge    Code = -854
	CodeBucketCustomtagNotExist    Code = -855
	CodeBucketQuotaExceeded        Code = -856
)

// Codes lists every SCM code, highest number first.
func Codes() []Code {
	out := make([]Code, len(codeTable))
	for i, row := range codeTable {
		out[i] = row.code
	}
	return out
}

var codeTable = []struct {
	code Code
	name string
	text string
}{
	{CodeUnknownError, "UNKNOWN_ERROR", "Unknown error"},
	{CodeInvalidArgument, "INVALID_ARGUMENT", "Invalid argument"},
	{CodeInvalidID, "INVALID_ID", "Invalid id"},
	{CodeSystemError, "SYSTEM_ERROR", "System error"},
	{CodeLockError, "LOCK_ERROR", "Lock error"},
	{CodeMissingArgument, "MISSING_ARGUMENT", "Missing argument"},
	{CodeOutOfBound, "OUT_OF_BOUND", "Out of bound"},
	{CodeOperationUnsupported, "OPERATION_UNSUPPORTED", "Unsupported operation"},
	{CodeOperationForbidden, "OPERATION_FORBIDDEN", "Operation forbidden"},
	{CodeOperationUnauthorized, "OPERATION_UNAUTHORIZED", "Unauthorized operation"},
	{CodeOperationTimeout, "OPERATION_TIMEOUT", "Operation timeout"},
	{CodeResourceConflict, "RESOURCE_CONFLICT", "Resource conflict"},
	{CodeAttributeFormatError, "ATTRIBUTE_FORMAT_ERROR", "Attribute format error"},
	{CodeNoOperandForKey, "NO_OPERAND_FOR_KEY", "No operand for key"},
	{CodeSessionClosed, "SESSION_CLOSED", "Session has been Closed"},
	{CodeNetworkIO, "NETWORK_IO", "Network IO Exception"},
	{CodeCommitUncertainState, "COMMIT_UNCERTAIN_STATE", "Transaction Commit Uncertain State"},
	{CodeSaltNotExist, "SALT_NOT_EXIST", "Salt is not exist"},
	{CodeFindSaltFailed, "FIND_SALT_FAILED", "Cannot get salt"},
	{CodeServerReloadConfFailed, "SERVER_RELOAD_CONF_FAILED", "Reload configure failed"},
	{CodeServerNotInWorkspace, "SERVER_NOT_IN_WORKSPACE", "Server is Not In WorkSpace"},
	{CodeServerNotExist, "SERVER_NOT_EXIST", "Server is not exist"},
	{CodeSiteNotExist, "SITE_NOT_EXIST", "Site is not exist"},
	{CodeWorkspaceNotExist, "WORKSPACE_NOT_EXIST", "Workspace is not exist"},
	{CodeMetasourceError, "METASOURCE_ERROR", "Metasource Error"},
	{CodeWorkspaceNotEmpty, "WORKSPACE_NOT_EMPTY", "Workspace not empty"},
	{CodeWorkspaceExist, "WORKSPACE_EXIST", "Workspace already exist"},
	{CodeMetasourceRecordExist, "METASOURCE_RECORD_EXIST", "record exist"},
	{CodeMetasourceTableNotExist, "METASOURCE_TABLE_NOT_EXIST", "table not exist"},
	{CodeTaskDuplicate, "TASK_DUPLICATE", "Task duplicate"},
	{CodeTaskNotExist, "TASK_NOT_EXIST", "Task not exist"},
	{CodeExceedMaxConcurrentTask, "EXCEED_MAX_CONCURRENT_TASK", "Exceed max concurrent task"},
	{CodeDirExist, "DIR_EXIST", "Directory already exists"},
	{CodeDirNotFound, "DIR_NOT_FOUND", "Directory not found"},
	{CodeDirNotEmpty, "DIR_NOT_EMPTY", "Directory not empty"},
	{CodeDirMoveToSubdir, "DIR_MOVE_TO_SUBDIR", "Can not move dir to a subdir of itself"},
	{CodeDirFeatureDisable, "DIR_FEATURE_DISABLE", "Directory is disable"},
	{CodeBatchNotFound, "BATCH_NOT_FOUND", "Batch not found"},
	{CodeBatchFileSameName, "BATCH_FILE_SAME_NAME", "Batch file same name"},
	{CodeBatchExist, "BATCH_EXIST", "Batch exist"},
	{CodeFileExist, "FILE_EXIST", "File already exists"},
	{CodeFileNotFound, "FILE_NOT_FOUND", "File not found"},
	{CodeFileTableNotFound, "FILE_TABLE_NOT_FOUND", "File table Not Found"},
	{CodeFileVersionMismatching, "FILE_VERSION_MISMATCHING", "Client file version is not current version"},
	{CodeFileInSpecifiedBatch, "FILE_IN_SPECIFIED_BATCH", "File in specified batch"},
	{CodeFileInAnotherBatch, "FILE_IN_ANOTHER_BATCH", "File in another batch"},
	{CodeFileNotInBatch, "FILE_NOT_IN_BATCH", "File not in batch"},
	{CodeFileClassUndefined, "FILE_CLASS_UNDEFINED", "File class undefined"},
	{CodeBatchClassUndefined, "BATCH_CLASS_UNDEFINED", "Batch class undefined"},
	{CodeFileInAnotherBucket, "FILE_IN_ANOTHER_BUCKET", "File already exists for another bucket"},
	{CodePrivilegeGrantFailed, "PRIVILEGE_GRANT_FAILED", "Privilege grant failed"},
	{CodePrivilegeRevokeFailed, "PRIVILEGE_REVOKE_FAILED", "Privilege revoke failed"},
	{CodeDataError, "DATA_ERROR", "Data source error"},
	{CodeDataNotExist, "DATA_NOT_EXIST", "Data is not exist"},
	{CodeDataTypeError, "DATA_TYPE_ERROR", "Data type error"},
	{CodeDataWriteError, "DATA_WRITE_ERROR", "Write data error"},
	{CodeDataReadError, "DATA_READ_ERROR", "Read data error"},
	{CodeDataDeleteError, "DATA_DELETE_ERROR", "Delete data error"},
	{CodeDataUnavailable, "DATA_UNAVAILABLE", "Data unavailable"},
	{CodeDataExist, "DATA_EXIST", "Data exist"},
	{CodeDataCorrupted, "DATA_CORRUPTED", "Data is corrupted"},
	{CodeDataBreakpointWriteError, "DATA_BREAKPOINT_WRITE_ERROR", "Write breakpoint file data error"},
	{CodeDataIsInUse, "DATA_IS_IN_USE", "Data is in use"},
	{CodeStoreSpaceIsNotExist, "STORE_SPACE_IS_NOT_EXIST", "Store space is not exist"},
	{CodeDataPiecesInfoOverflow, "DATA_PIECES_INFO_OVERFLOW", "Data piece info overflow"},
	{CodeDataStorageQuotaExceeded, "DATA_STORAGE_QUOTA_EXCEEDED", "data storage quota exceeded"},
	{CodeMetadataCheckError, "METADATA_CHECK_ERROR", "Properties check error"},
	{CodeMetadataClassExist, "METADATA_CLASS_EXIST", "Metadata class exist"},
	{CodeMetadataClassNotExist, "METADATA_CLASS_NOT_EXIST", "Metadata class not exist"},
	{CodeMetadataAttrExist, "METADATA_ATTR_EXIST", "Metadata attr exist"},
	{CodeMetadataAttrNotExist, "METADATA_ATTR_NOT_EXIST", "Metadata attr not exist"},
	{CodeMetadataAttrNotInClass, "METADATA_ATTR_NOT_IN_CLASS", "Metadata attr not in class"},
	{CodeMetadataAttrAlreadyInClass, "METADATA_ATTR_ALREADY_IN_CLASS", "Metadata attr already in class"},
	{CodeMetadataAttrDeleteFailed, "METADATA_ATTR_DELETE_FAILED", "Metadata attr delete failed"},
	{CodeFileIO, "FILE_IO", "File IO Exception"},
	{CodeFileNotExist, "FILE_NOT_EXIST", "File is not exist"},
	{CodeFileIsDirectory, "FILE_IS_DIRECTORY", "File is directory"},
	{CodeFileAlreadyExists, "FILE_ALREADY_EXISTS", "File already exists"},
	{CodeFileCreateFailed, "FILE_CREATE_FAILED", "File create failed"},
	{CodeFileDeleteFailed, "FILE_DELETE_FAILED", "File delete failed"},
	{CodeFilePermission, "FILE_PERMISSION", "File permission"},
	{CodeFileIsClosed, "FILE_IS_CLOSED", "File is closed"},
	{CodeInputStreamClosed, "INPUT_STREAM_CLOSED", "Input stream closed"},
	{CodeOutputStreamClosed, "OUTPUT_STREAM_CLOSED", "Output stream closed"},
	{CodeFileInvalidCustomtag, "FILE_INVALID_CUSTOMTAG", "File customTag invalid"},
	{CodeFileCustomtagTooLarge, "FILE_CUSTOMTAG_TOO_LARGE", "File customTag too large"},
	{CodeConfigServerError, "CONFIG_SERVER_ERROR", "Config server error"},
	{CodeWorkspaceCacheExpire, "WORKSPACE_CACHE_EXPIRE", "Workspace cache is expire"},
	{CodeBucketExists, "BUCKET_EXISTS", "Bucket exists"},
	{CodeBucketNotExists, "BUCKET_NOT_EXISTS", "Bucket not exists"},
	{CodeBucketNotEmpty, "BUCKET_NOT_EMPTY", "Bucket not empty"},
	{CodeBucketInvalidCustomtag, "BUCKET_INVALID_CUSTOMTAG", "Bucket invalid customtag"},
	{CodeBucketCustomtagTooLarge, "BUCKET_CUSTOMTAG_TOO_LARGE", "Bucket customtag too large"},
	{CodeBucketCustomtagNotExist, "BUCKET_CUSTOMTAG_NOT_EXIST", "Bucket customtag not exist"},
	{CodeBucketQuotaExceeded, "BUCKET_QUOTA_EXCEEDED", "Bucket quota exceeded"},
}

// find keeps the table a plain slice: it is small, and errors are rare.
func (c Code) find() (name, text string, ok bool) {
	for _, row := range codeTable {
		if row.code == c {
			return row.name, row.text, true
		}
	}
	return "", "", false
}

// String returns the name and the number, "FILE_EXIST(-261)".
func (c Code) String() string {
	if name, _, ok := c.find(); ok {
		return fmt.Sprintf("%s(%d)", name, int(c))
	}
	if c > 0 {
		return fmt.Sprintf("HTTP(%d)", int(c))
	}
	return fmt.Sprintf("SCM(%d)", int(c))
}

// Text returns the fixed text of the field "error".
func (c Code) Text() string {
	if _, text, ok := c.find(); ok {
		return text
	}
	return CodeUnknownError.Text()
}

// HTTPStatus returns the status line that a content server sends with the code
// (part 1 section 3.3): 500 covers most business errors.
func (c Code) HTTPStatus() int {
	switch c {
	case CodeInvalidArgument, CodeInvalidID, CodeMissingArgument, CodeSaltNotExist, CodeFindSaltFailed:
		return 400
	case CodeOperationForbidden, CodeOperationUnauthorized:
		return 403
	case CodeSiteNotExist, CodeTaskNotExist, CodeDirNotFound, CodeFileNotFound, CodeFileNotExist:
		return 404
	}
	if c >= 100 {
		return int(c)
	}
	return 500
}

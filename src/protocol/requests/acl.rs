//! Users and access control (fact sheet: remoting 8.2).

use super::headers;
use crate::protocol::fields::Text;

headers! {
    /// AUTH_CREATE_USER 3001, AUTH_UPDATE_USER 3002, AUTH_DELETE_USER 3003, AUTH_GET_USER 3004.
    pub struct UserRequest {
        "username" => username: Option<Text>,
    }

    /// AUTH_LIST_USER 3005.
    pub struct ListUsersRequest {
        "filter" => filter: Option<Text>,
    }

    /// AUTH_CREATE_ACL 3006, AUTH_UPDATE_ACL 3007, AUTH_GET_ACL 3009.
    pub struct AclRequest {
        /// As `User:bob`.
        "subject" => subject: Option<Text>,
    }

    /// AUTH_DELETE_ACL 3008.
    pub struct DeleteAclRequest {
        /// As `User:bob`.
        "subject" => subject: Option<Text>,
        "policyType" => policy_type: Option<Text>,
        "resource" => resource: Option<Text>,
    }

    /// AUTH_LIST_ACL 3010.
    pub struct ListAclsRequest {
        "subjectFilter" => subject_filter: Option<Text>,
        "resourceFilter" => resource_filter: Option<Text>,
    }
}

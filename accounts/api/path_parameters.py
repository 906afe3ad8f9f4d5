"""What the API's document says of the ids in the addresses of accounts; each decorates a view."""

from drf_spectacular.utils import extend_schema

from core.http.openapi import path_id

_PROJECT = path_id("project_id", "The workspace: `proj_…`, one that the caller is a member of.")
_KEY = path_id("key_id", "The API key: `key_…`.")
_USER = path_id("user_id", "The member: `user-…`.")
_TOKEN = path_id("token_id", "The end-user token: `eut_…`.")

names_project = extend_schema(parameters=[_PROJECT])
names_project_user = extend_schema(parameters=[_PROJECT, _USER])
names_project_key = extend_schema(parameters=[_PROJECT, _KEY])
names_project_key_token = extend_schema(parameters=[_PROJECT, _KEY, _TOKEN])
names_user = extend_schema(parameters=[_USER])
names_admin_key = extend_schema(parameters=[_KEY])
names_token = extend_schema(parameters=[_TOKEN])
names_invitation = extend_schema(parameters=[path_id("invite_id", "The invitation: `invite_…`.")])

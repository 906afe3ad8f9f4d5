"""The routes of the signed-in user, of workspaces and their members, of API keys and of end-user tokens."""

from django.urls import path

from accounts.api import admin_key_views, invitations, key_views, members, projects, token_views, views

PROJECT_KEYS = "v1/organization/projects/<str:project_id>/api_keys"
ADMIN_KEYS = "v1/organization/admin_api_keys"
TOKENS = "v1/end_user_tokens"

urlpatterns = [
    path("v1/me", views.MeView.as_view()),
    path("v1/invitations/accept", invitations.AcceptanceView.as_view()),
    path("v1/organization/users", members.OrganizationUserListView.as_view()),
    path("v1/organization/users/<str:user_id>", members.OrganizationUserView.as_view()),
    path("v1/organization/invites", invitations.InvitationListView.as_view()),
    path("v1/organization/invites/<str:invite_id>", invitations.InvitationView.as_view()),
    path("v1/organization/projects", projects.ProjectListView.as_view()),
    path("v1/organization/projects/<str:project_id>", projects.ProjectView.as_view()),
    path("v1/organization/projects/<str:project_id>/leave", projects.LeaveView.as_view()),
    path("v1/organization/projects/<str:project_id>/hand_over", projects.HandOverView.as_view()),
    path("v1/organization/projects/<str:project_id>/users", members.ProjectUserListView.as_view()),
    path("v1/organization/projects/<str:project_id>/users/<str:user_id>", members.ProjectUserView.as_view()),
    path(PROJECT_KEYS, key_views.ProjectKeyListView.as_view()),
    path(f"{PROJECT_KEYS}/<str:key_id>", key_views.ProjectKeyView.as_view()),
    path(f"{PROJECT_KEYS}/<str:key_id>/roll", key_views.ProjectKeyRollView.as_view()),
    path(f"{PROJECT_KEYS}/<str:key_id>/end_user_tokens", token_views.KeyTokenListView.as_view()),
    path(f"{PROJECT_KEYS}/<str:key_id>/end_user_tokens/<str:token_id>", token_views.KeyTokenView.as_view()),
    path(ADMIN_KEYS, admin_key_views.AdminKeyListView.as_view()),
    path(f"{ADMIN_KEYS}/<str:key_id>", admin_key_views.AdminKeyView.as_view()),
    path(TOKENS, token_views.TokenListView.as_view()),
    path(f"{TOKENS}/revoke", token_views.TokenRevocationView.as_view()),
    path(f"{TOKENS}/<str:token_id>", token_views.TokenView.as_view()),
]

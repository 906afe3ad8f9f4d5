"""The routes of the signed-in user, and of workspaces and their members."""

from django.urls import path

from accounts.api import invitations, members, projects, views

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
]

from django.urls import include, path

from accounts.sign_in import views

urlpatterns = [
    path("", views.HomeView.as_view(), name="account_home"),
    path("sessions/", views.SessionsView.as_view(), name="usersessions_list"),
    path("invitations/<str:token>/", views.InvitationView.as_view(), name="account_invitation"),
    path("", include("allauth.urls")),
]

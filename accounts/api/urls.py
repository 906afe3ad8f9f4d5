"""The routes of the signed-in user."""

from django.urls import path

from accounts.api import views

urlpatterns = [
    path("v1/me", views.MeView.as_view()),
]

"""The routes of exports that Django serves."""

from django.urls import path

from chatapi.data_export import views

urlpatterns = [
    path("v1/me/exports", views.ExportListView.as_view()),
    path("v1/me/exports/<str:export_id>", views.ExportView.as_view()),
]

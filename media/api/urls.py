"""URLs of the file API that Django serves."""

from django.urls import path

from media.api import views

urlpatterns = [
    path("v1/files", views.FileListView.as_view()),
    path("v1/files/<str:file_id>", views.FileView.as_view()),
    path("v1/files/<str:file_id>/renditions", views.RenditionListView.as_view()),
]

"""The routes of the history API."""

from django.urls import path

from conversations.api import views

urlpatterns = [
    path("v1/conversations", views.ConversationListView.as_view()),
    path("v1/conversations/<str:conversation_id>", views.ConversationView.as_view()),
    path("v1/conversations/<str:conversation_id>/items", views.ItemListView.as_view()),
]

"""The routes of the history API."""

from django.urls import path

from conversations.api import item_views, views

urlpatterns = [
    path("v1/conversations", views.ConversationListView.as_view()),
    path("v1/conversations/<str:conversation_id>", views.ConversationView.as_view()),
    path("v1/conversations/<str:conversation_id>/items", item_views.ItemListView.as_view()),
    path("v1/conversations/<str:conversation_id>/items/<str:item_id>", item_views.ItemView.as_view()),
]

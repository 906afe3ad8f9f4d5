"""What Django serves of the stored history."""

from django.urls import path

from conversations import api

urlpatterns = [
    path("v1/conversations", api.ConversationListView.as_view()),
    path("v1/conversations/<str:conversation_id>", api.ConversationView.as_view()),
    path("v1/conversations/<str:conversation_id>/items", api.ItemListView.as_view()),
]

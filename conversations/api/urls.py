"""The routes of the history API."""

from django.urls import path

from conversations.api import bulk_views, conversation_views, views

urlpatterns = [
    path("v1/conversations", conversation_views.ConversationListView.as_view()),
    path("v1/conversations/bulk", bulk_views.ConversationBulkView.as_view()),
    path("v1/conversations/<str:conversation_id>", conversation_views.ConversationView.as_view()),
    path(
        "v1/conversations/<str:conversation_id>/restore",
        conversation_views.ConversationRestoreView.as_view(),
    ),
    path("v1/conversations/<str:conversation_id>/items", views.ItemListView.as_view()),
]

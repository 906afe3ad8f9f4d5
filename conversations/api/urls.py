"""The routes of the history API."""

from django.urls import path

from conversations.api import bulk_views, conversation_views, item_views, search_views

CONVERSATION = "v1/conversations/<str:conversation_id>"

urlpatterns = [
    path("v1/conversations", conversation_views.ConversationListView.as_view()),
    path("v1/conversations/bulk", bulk_views.ConversationBulkView.as_view()),
    path(CONVERSATION, conversation_views.ConversationView.as_view()),
    path(f"{CONVERSATION}/restore", conversation_views.ConversationRestoreView.as_view()),
    path(f"{CONVERSATION}/items", item_views.ItemListView.as_view()),
    path(f"{CONVERSATION}/items/<str:item_id>", item_views.ItemView.as_view()),
    path("v1/search", search_views.SearchView.as_view()),
]

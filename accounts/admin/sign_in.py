"""What allauth would show in the admin, and does not here.

Its pages let staff verify addresses, read the secrets of sign-in providers and remove second factors, and so
take over accounts of people who may do more. `manage.py reset_sign_in` does what an operator needs.
"""

import allauth.account.admin
import allauth.mfa.admin
import allauth.socialaccount.admin
import allauth.usersessions.admin  # noqa: F401  (each registers its models when it is imported)
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from allauth.usersessions.models import UserSession
from django.contrib import admin

for model in (EmailAddress, Authenticator, UserSession, SocialAccount, SocialApp, SocialToken):
    admin.site.unregister(model)

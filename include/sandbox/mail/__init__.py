"""A local mail server: it takes mails over SMTP for anybody, delivers none, and shows them over HTTP.

from sandbox.mail import serve_mail
with serve_mail() as running: ...   # running.smtp_port, running.url
"""

from sandbox.mail.sandbox import MailSandbox, Options, RunningMail, airflow_connection, serve_mail

__all__ = ["MailSandbox", "Options", "RunningMail", "airflow_connection", "serve_mail"]

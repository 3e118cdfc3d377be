"""A person's browser as far as a sign-in needs one: cookies, redirects and forms.

Cookies belong to a host and not to a port, as in real browsers, so that two parties on
localhost which use the same cookie name do disturb each other here too.
"""

import html.parser
import http.client
import urllib.parse
from dataclasses import dataclass, field

TIMEOUT = 30
MOST_HOPS = 25


@dataclass
class Form:
    action: str
    method: str
    fields: dict = field(default_factory=dict)
    buttons: list = field(default_factory=list)


class _PageReader(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.forms, self.links, self.words = [], [], []
        self._form = self._link = None
        self._silent = False

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self._silent = tag in ("script", "style")
        if tag == "form":
            self._form = Form(attrs.get("action", ""), attrs.get("method", "get").lower())
            self.forms.append(self._form)
        elif tag in ("input", "button") and self._form and attrs.get("name"):
            kind = attrs.get("type", "submit" if tag == "button" else "text")
            if kind == "submit":
                self._form.buttons.append((attrs["name"], attrs.get("value", "")))
            elif kind != "checkbox" or "checked" in attrs:
                self._form.fields[attrs["name"]] = attrs.get("value", "")
        elif tag == "a" and attrs.get("href"):
            self._link = [attrs["href"], ""]
            self.links.append(self._link)

    def handle_endtag(self, tag):
        self._silent = False
        if tag == "form":
            self._form = None
        elif tag == "a":
            self._link = None

    def handle_data(self, data):
        if self._silent:
            return
        self.words.append(data)
        if self._link:
            self._link[1] += data


@dataclass
class Page:
    """One answer: where it came from, what it says, where it points."""

    url: str
    status: int
    headers: http.client.HTTPMessage
    body: str

    def __post_init__(self):
        reader = _PageReader()
        if "html" in self.headers.get("content-type", ""):
            reader.feed(self.body)
        self.forms = reader.forms
        self.links = [(urllib.parse.urljoin(self.url, to), text.strip()) for to, text in reader.links]
        self.text = " ".join(" ".join(reader.words).split())

    def form_with(self, *names):
        """The form that has these fields."""
        for form in self.forms:
            if all(name in form.fields for name in names):
                return form
        raise AssertionError(f"no form with {', '.join(names)} at {self}")

    def link_with(self, part):
        """The address of the link whose address or text contains `part`."""
        for to, text in self.links:
            if part in to or part in text:
                return to
        raise AssertionError(f"no link with {part!r} at {self}")

    def __str__(self):
        return f"{self.url.split('?')[0]} (status {self.status}): {self.text[:300]}"


class Browser:
    def __init__(self):
        self._cookies = {}
        self.visited = []

    def open(self, url, stop_at=None):
        """Opens an address and follows redirects.

        Stops before visiting an address that starts with `stop_at` and returns that address.
        """
        return self._send("GET", url, None, stop_at)

    def submit(self, page, form, values=None, button=None, stop_at=None):
        """Submits a form of `page`, with `values` typed into it, by one of its buttons."""
        fields = {**form.fields, **(values or {})}
        if button:
            fields[button] = dict(form.buttons)[button]
        target = urllib.parse.urljoin(page.url, form.action)
        encoded = urllib.parse.urlencode(fields)
        if form.method == "post":
            return self._send("POST", target, encoded, stop_at)
        separator = "&" if "?" in target else "?"
        return self._send("GET", target + separator + encoded, None, stop_at)

    def forget(self, prefix):
        """Loses the cookies whose names start like this."""
        self._cookies = {key: value for key, value in self._cookies.items() if not key[2].startswith(prefix)}

    def _send(self, method, url, body, stop_at):
        for _ in range(MOST_HOPS):
            if stop_at and url.startswith(stop_at):
                return url
            page = self._request(method, url, body)
            location = page.headers.get("location")
            if page.status not in (301, 302, 303, 307, 308) or not location:
                assert not stop_at, f"expected to reach {stop_at}, ended at {page}"
                return page
            if page.status not in (307, 308):
                method, body = "GET", None
            url = urllib.parse.urljoin(url, location)
        raise AssertionError(f"more than {MOST_HOPS} redirects, the last to {url}")

    def _request(self, method, url, body):
        parts = urllib.parse.urlsplit(url)
        assert parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1"), url
        self.visited.append(url.split("?")[0])
        headers = {"Accept": "text/html", "User-Agent": "interop"}
        cookies = self._cookies_for(parts)
        if cookies:
            headers["Cookie"] = cookies
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            headers["Origin"] = f"{parts.scheme}://{parts.netloc}"
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT)
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request(method, target, body, headers)
            response = connection.getresponse()
            for cookie in response.headers.get_all("set-cookie") or []:
                self._keep(parts, cookie)
            text = response.read().decode("utf-8", "replace")
            return Page(url, response.status, response.headers, text)
        finally:
            connection.close()

    def _keep(self, parts, header):
        pair, *attributes = [part.strip() for part in header.split(";")]
        name, _, value = pair.partition("=")
        settings = {}
        for attribute in attributes:
            key, _, content = attribute.partition("=")
            settings[key.lower()] = content
        path = settings.get("path") or parts.path.rsplit("/", 1)[0] or "/"
        key = (parts.hostname, path, name)
        if settings.get("max-age", "1").startswith(("0", "-")) or "1970" in settings.get("expires", ""):
            self._cookies.pop(key, None)
        else:
            self._cookies[key] = value

    def _cookies_for(self, parts):
        path = parts.path or "/"
        return "; ".join(
            f"{name}={value}"
            for (host, root, name), value in self._cookies.items()
            if host == parts.hostname and (path == root or path.startswith(root.rstrip("/") + "/"))
        )

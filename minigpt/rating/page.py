def page_html(key):
    return "x"

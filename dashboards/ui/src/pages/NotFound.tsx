import { useWords } from '../i18n';
import { To } from '../ui/links';
import { Empty } from '../ui/Panel';

export function NotFound() {
  const { t } = useWords();
  return (
    <Empty title={t('not_found.title')} text={t('not_found.text')}>
      <To path="/" className="button">
        {t('nav.overview')}
      </To>
    </Empty>
  );
}
